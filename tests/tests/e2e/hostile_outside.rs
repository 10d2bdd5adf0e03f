//! An environment that is slow, full, closed or gone: the program stays responsive, reports the problem, and recovers.
//!
//! The name of a test begins with the letter and number of the requirement that it covers.

use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use theater_tests::talk::{TALK, ask, ask_until, manifests, start, try_ask};
use theater_tests::{
    HTTP, Running, Scratch, build_folder, chain, exchange, get, manifest, run_behind, run_command, theater, wait_until,
};

/// Picks a free port in advance, for a program whose output is not read.
fn known_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn hello(scratch: &Scratch, port: u16) -> String {
    let http = format!("[[handlers]]\ntype = \"http-server\"\nconfig = {{ port = {port} }}\n");
    scratch.write("hello.toml", manifest("hello-http", &http)).display().to_string()
}

/// Waits until the server on this port answers.
fn answers(port: u16) {
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = || exchange(([127, 0, 0, 1], port).into(), request).ok().filter(|response| response.status == 200);
    wait_until("an answer", answer);
}

#[test]
fn b1_nobody_has_to_read_stderr() {
    let (reader, unread) = std::io::pipe().unwrap();
    let full = OwnedFd::from(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let (gone_reader, gone) = std::io::pipe().unwrap();
    drop(gone_reader);
    for stderr in [OwnedFd::from(unread), full, OwnedFd::from(gone)] {
        let (scratch, port) = (Scratch::new(), known_port());
        let path = hello(&scratch, port);
        let mut command = run_command(&scratch.path().join("data"), &["--log", "debug", &path]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::from(stderr)).spawn().unwrap();
        answers(port);
        // At the debug level each request logs more than one line: together more than a pipe buffers.
        for _ in 0..600 {
            answers(port);
        }
        let start = Instant::now();
        assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
        let status = wait_until("the program's end", || child.try_wait().unwrap());
        assert!(status.success() && start.elapsed() < Duration::from_secs(10), "{status} after {:?}", start.elapsed());
    }
    drop(reader);
}

#[test]
fn b3_output_that_is_cut_is_an_error_and_a_listing_that_nobody_reads_on_is_none() {
    let scratch = Scratch::new();
    let (mut running, address) = Running::actor(&scratch, &manifest("hello-http", HTTP));
    assert_eq!(get(address, "/").status, 200);
    assert!(running.stop().0.success());
    let data = running.data.display().to_string();
    let run = |words: &[&str], stdout: Stdio| {
        let mut command = Command::new(build_folder().join("theater"));
        command.args(["--data", &data]).args(words).stdout(stdout).stderr(Stdio::piped()).output().unwrap()
    };
    let results: [&[&str]; 3] =
        [&["chain", "export", "hello-http", "-o", "json"], &["chain", "verify"], &["state", "hello-http"]];
    let listings: [&[&str]; 3] = [&["events"], &["chain", "show", "hello-http"], &["chain", "list"]];
    for words in results.iter().chain(&listings) {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = run(words, Stdio::from(full));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code() == Some(1) && said.contains("standard output cannot be written"),
            "{words:?}: {said}"
        );
    }
    let gone = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    for words in listings {
        let output = run(words, gone());
        assert!(output.status.success() && output.stderr.is_empty(), "{words:?}: {output:?}");
    }
    for words in results {
        assert_eq!(run(words, gone()).status.code(), Some(1), "{words:?}");
    }
}

#[test]
fn b3_a_program_outlives_its_stdout() {
    let (scratch, port) = (Scratch::new(), known_port());
    let path = hello(&scratch, port);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = run_command(&scratch.path().join("data"), &[&path]);
    let mut child = command.stdout(Stdio::from(writer)).stderr(Stdio::null()).spawn().unwrap();
    answers(port);
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert!(wait_until("the program's end", || child.try_wait().unwrap()).success());
}

#[test]
fn b4_signals_end_the_program_in_order_or_do_nothing() {
    for signal in ["HUP", "QUIT", "XCPU", "PWR"] {
        let scratch = Scratch::new();
        let (mut running, address) = Running::actor(&scratch, &manifest("hello-http", HTTP));
        for ignored in ["USR1", "USR2", "XFSZ", "ALRM", "PROF", "IO"] {
            running.signal(ignored);
        }
        assert_eq!(get(address, "/").status, 200);
        running.signal(signal);
        assert!(running.wait().success(), "{signal}");
        assert_eq!(chain(&running.data, "hello-http").last().unwrap()["text"], "by program", "{signal}");
    }
}

#[test]
fn b4_what_nohup_protects_is_not_ended_by_a_closed_terminal() {
    let (scratch, port) = (Scratch::new(), known_port());
    let path = hello(&scratch, port);
    let data = scratch.path().join("data");
    let mut command = Command::new("nohup");
    command.arg(build_folder().join("theater")).args(["run", "--data"]).arg(&data).arg(&path);
    let mut running = Running::spawn(command, &data);
    answers(port);
    running.signal("HUP");
    answers(port);
    assert!(running.stop().0.success());
}

#[test]
fn b5_a_pause_of_the_whole_program_is_no_guests_time() {
    let scratch = Scratch::new();
    let timing = "[[handlers]]\ntype = \"timing\"\n";
    let (running, at) = start(&scratch, &[("worker", &format!("{TALK}{timing}[limits]\nrun_timeout_ms = 2000\n"))]);
    let busy = std::thread::spawn(move || try_ask(at[0], "busy", json!({ "ms": 4_000 })));
    running.wait_for_queued("busy");
    running.signal("STOP");
    std::thread::sleep(Duration::from_millis(3_500));
    running.signal("CONT");
    assert!(busy.join().unwrap().is_ok(), "{:?}", running.errors());
}

const RUNNER: &str =
    "[[handlers]]\ntype = \"process\"\nconfig = { allowed_programs = [\"sh\"], allowed_paths = [\".\"] }\n";

fn first_line(at: std::net::SocketAddr, script: &str) -> String {
    let _ = ask(at, "start", json!({ "program": "sh", "args": ["-c", script] }));
    ask_until(at, "told", |told| told["told"][0][2].as_str().map(|line| line.trim().to_owned()))
}

#[test]
fn b6_programs_get_the_limit_of_open_files_that_the_user_gave() {
    let scratch = Scratch::new();
    let paths = manifests(&scratch, &[("runner", &format!("{TALK}{RUNNER}"))]);
    let data = scratch.path().join("data");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -Sn 1000; exec \"$0\" \"$@\""]);
    command.arg(build_folder().join("theater")).args(["run", "--data"]).arg(&data).arg(&paths[0]);
    let running = Running::spawn(command, &data);
    let at = running.address(0);
    for number in 0..20 {
        let _ = ask(at, "start", json!({ "program": "sh", "args": ["-c", "ulimit -Sn"] }));
        let told = ask_until(at, "told", |told| {
            let told = told["told"].as_array()?;
            let lines =
                told.iter().filter(|one| one[2].as_str().is_some_and(|line| line.trim().parse::<u64>().is_ok()));
            let lines: Vec<_> = lines.map(|one| one[2].as_str().unwrap().trim().to_owned()).collect();
            (lines.len() > number).then_some(lines)
        });
        assert_eq!(told.last().unwrap(), "1000", "{told:?}");
    }
    // The program itself has raised its limit as far as the system allows.
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", running.pid())).unwrap();
    let open_files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let words: Vec<_> = open_files.split_whitespace().collect();
    let [soft, hard] = [words[3], words[4]].map(|limit| limit.parse().unwrap_or(u64::MAX));
    assert_eq!(soft, hard.min(1 << 20), "{open_files}");
}

#[test]
fn a8_programs_end_with_the_runtime_however_it_ends() {
    let scratch = Scratch::new();
    let paths = manifests(&scratch, &[("runner", &format!("{TALK}{RUNNER}"))]);
    let running = Running::start(&scratch.path().join("data"), &[&paths[0]]);
    let at = running.address(0);
    let ids = first_line(at, "sleep 1000 & echo $$ $!; wait");
    let pids: Vec<u32> = ids.split_whitespace().map(|id| id.parse().unwrap()).collect();
    let lives = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !(stat.is_empty() || stat.contains(") Z "))
    };
    assert!(pids.len() == 2 && pids.iter().all(lives), "{ids}");
    running.signal("KILL");
    wait_until("the programs to end", || (!pids.iter().any(lives)).then_some(()));
}

#[test]
fn b6_as_process_1_it_waits_for_orphans() {
    let scratch = Scratch::new();
    let paths = manifests(&scratch, &[("runner", &format!("{TALK}{RUNNER}"))]);
    let data = scratch.path().join("data");
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
    command.arg(build_folder().join("theater")).args(["run", "--data"]).arg(&data).arg(&paths[0]);
    let running = Running::spawn(command, &data);
    let at = running.address(0);
    for _ in 0..5 {
        let _ = ask(at, "start", json!({ "program": "sh", "args": ["-c", "setsid sh -c 'sleep 0.2' & sleep 0.1"] }));
    }
    let theater = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", running.pid())).unwrap();
    let theater: u32 = theater.split_whitespace().next().unwrap().parse().unwrap();
    let children = || {
        let ids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
        let stats = ids.filter_map(|id| std::fs::read_to_string(format!("/proc/{id}/stat")).ok());
        let fields = stats.map(|stat| stat.rsplit_once(") ").unwrap().1.to_owned());
        // One child lives as long as theater: it kills programs if theater is killed.
        let is_left =
            |fields: &String| fields.split(' ').nth(1) == Some(&theater.to_string()) && fields.starts_with('Z');
        fields.filter(is_left).count()
    };
    // Exited children were reaped, including the plugin's own.
    std::thread::sleep(Duration::from_millis(500));
    wait_until("no child to be left", || (children() == 0).then_some(()));
}

#[test]
fn b6_a_data_folder_that_may_hold_no_code_does() {
    let scratch = Scratch::new();
    let path = scratch.write("a.toml", manifest("hello-http", HTTP)).display().to_string();
    let data = scratch.path().join("mounted/data");
    std::fs::create_dir_all(scratch.path().join("mounted")).unwrap();
    let mount = format!("mount -t tmpfs -o noexec,size=200m tmpfs {}/mounted", scratch.path().display());
    let mut running = Running::spawn(run_behind(&mount, &data, &[&path]), &data);
    assert_eq!(get(running.address(0), "/").status, 200);
    assert!(running.stop().0.success());
}

#[test]
fn b6_little_address_space_is_enough() {
    for (kib, memory) in [(4_194_304_u64, "1GiB"), (512 << 20, "64MiB"), (512 << 20, "16GiB")] {
        let scratch = Scratch::new();
        let path = scratch.write("a.toml", manifest("hello-http", HTTP)).display().to_string();
        let data = scratch.path().join("data");
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -v {kib}; exec \"$0\" \"$@\"")]);
        command.arg(build_folder().join("theater")).args(["run", "--memory", memory, "--data"]).arg(&data).arg(&path);
        let mut running = Running::spawn(command, &data);
        let address = running.address(0);
        for _ in 0..20 {
            assert_eq!(get(address, "/").status, 200);
        }
        assert!(running.stop().0.success());
    }
}

#[test]
fn b7_a_pipe_among_the_plugins_is_a_warning() {
    let scratch = Scratch::new();
    for entry in std::fs::read_dir(build_folder()).unwrap().map(Result::unwrap) {
        if entry.path().extension().is_some_and(|extension| extension == "so") {
            std::os::unix::fs::symlink(entry.path(), scratch.path().join(entry.file_name())).unwrap();
        }
    }
    assert!(Command::new("mkfifo").arg(scratch.path().join("x.so")).status().unwrap().success());
    let output = theater(&["plugin", "list", "--plugins", &scratch.path().display().to_string()]);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("http-server"));
    let said = [output.stdout, output.stderr].concat();
    assert!(String::from_utf8_lossy(&said).contains("it is not a regular file"));
}

#[test]
fn b7_a_data_folder_that_is_removed_ends_the_program() {
    let scratch = Scratch::new();
    let (mut running, address) = Running::actor(&scratch, &manifest("hello-http", HTTP));
    assert_eq!(get(address, "/").status, 200);
    std::fs::rename(&running.data, scratch.path().join("moved")).unwrap();
    running.wait_for_error("was removed or replaced while the program runs");
    assert_eq!(running.wait().code(), Some(1));
}

#[test]
fn b7_a_name_is_no_option_and_comes_before_a_file_of_that_name() {
    let scratch = Scratch::new();
    for name in ["--help", "-x", ".hidden"] {
        let text = manifest("hello-http", HTTP).replace("name = \"hello-http\"", &format!("name = {name:?}"));
        let path = scratch.write("a.toml", text).display().to_string();
        let output = theater(&["validate", &path]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains("is not a name"), "{said}");
    }
    let (mut running, address) = Running::actor(&scratch, &manifest("hello-http", HTTP));
    assert_eq!(get(address, "/").status, 200);
    assert!(running.stop().0.success());
    std::fs::create_dir(scratch.path().join("hello-http")).unwrap();
    let mut show = Command::new(build_folder().join("theater"));
    let output =
        show.current_dir(scratch.path()).args(["--data", "data", "chain", "show", "hello-http"]).output().unwrap();
    assert!(output.status.success() && !output.stdout.is_empty(), "{output:?}");
}

#[test]
fn b8_a_full_disk_is_not_called_a_stop() {
    let scratch = Scratch::new();
    let path = scratch.write("a.toml", manifest("hello-http", HTTP)).display().to_string();
    let mounted = scratch.path().join("mounted");
    std::fs::create_dir_all(&mounted).unwrap();
    let data = mounted.join("data");
    // The script fills and frees the disk from inside the mount namespace, the only place where it is mounted.
    let script = scratch.write(
        "disk.sh",
        "mount -t tmpfs -o size=60m tmpfs mounted\n\
         (until [ -e fill ]; do sleep 0.05; done; cat /dev/zero > mounted/filled; touch full\n\
         until [ -e free ]; do sleep 0.05; done; rm mounted/filled; touch freed) > /dev/null 2>&1 &\n",
    );
    let before = format!("cd {} && . {}", scratch.path().display(), script.display());
    let mut running = Running::spawn(run_behind(&before, &data, &[&path]), &data);
    let address = running.address(0);
    assert_eq!(get(address, "/").status, 200);
    scratch.write("fill", "");
    wait_until("a full disk", || scratch.path().join("full").exists().then_some(()));
    let refused = wait_until("a refusal", || Some(get(address, "/")).filter(|answer| answer.status == 503));
    assert!(!refused.text().contains("stopping") && refused.text().contains("try again"), "{}", refused.text());
    let lines = running.errors().len();
    std::thread::sleep(Duration::from_secs(2));
    assert!(running.errors().len() <= lines + 2, "{:?}", running.errors());
    scratch.write("free", "");
    wait_until("room again", || scratch.path().join("freed").exists().then_some(()));
    wait_until("an answer", || Some(get(address, "/")).filter(|answer| answer.status == 200));
    assert!(running.stop().0.success());
}
