//! Runs confined shell commands and scripts. Tests of a protection that this machine lacks return early.

use std::process::Stdio;

use futures_lite::future::block_on;

use super::*;
use crate::{Running, capture, exit_code};

/// The folder of a test, removed on drop.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("theater-confine-{name}-{}", std::process::id()));
        std::fs::create_dir_all(path.join("in")).unwrap();
        std::fs::write(path.join("secret"), "s").unwrap();
        std::fs::write(path.join("in/file"), "f").unwrap();
        Self(path)
    }

    fn folder(&self) -> OwnedFd {
        std::fs::File::open(self.0.join("in")).unwrap().into()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// Runs a confined shell command and returns its exit code and output; `is_writable`: it may change the folder.
fn run(scratch: &Scratch, is_writable: bool, readable: &[&Path], script: &str) -> (i32, String) {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("exec 2>&1; {script}")]).env("SECRET", scratch.0.join("secret"));
    let readable = readable.iter().map(|path| path.to_path_buf()).collect();
    let confinement = Confinement { folders: vec![(scratch.folder(), is_writable)], readable };
    block_on(async {
        let start = Running::start(command, Stdio::null(), Some(scratch.folder()), Some(confinement));
        let running = start.await.unwrap();
        let mut out = crate::Captured::default();
        capture(running.stdout, 10_000, &mut out).await.unwrap();
        let code = exit_code(running.group.reap().await.unwrap());
        (code, String::from_utf8(out.bytes).unwrap())
    })
}

fn has_landlock() -> bool {
    missing().is_none_or(|missing| !missing.contains("NOT confined"))
}

#[test]
fn a_confined_program_reaches_its_folder_and_what_it_needs_to_run() {
    let scratch = Scratch::new("reaches");
    let script =
        "cat file; echo new > made; mkdir sub; mv made sub; cat sub/made; ls /usr > /dev/null; id -u > /dev/null";
    assert_eq!(run(&scratch, true, &[], script), (0, "fnew\n".to_owned()));
    assert_eq!(run(&scratch, false, &[], "cat file"), (0, "f".to_owned()));
}

#[test]
fn nothing_else_is_read_written_run_or_removed() {
    let scratch = Scratch::new("denies");
    if !has_landlock() {
        assert_eq!(run(&scratch, true, &[], "cat $SECRET"), (0, "s".to_owned()));
        return;
    }
    std::fs::copy("/bin/true", scratch.0.join("program")).unwrap();
    for script in [
        "cat $SECRET",
        "cat ../secret",
        "ln -s $SECRET link; cat link",
        "ln $SECRET hard",
        "echo x > $SECRET",
        "echo x > ../other",
        "rm $SECRET",
        "mv $SECRET here",
        "ls ..",
        "../program",
        "cat /etc/shadow",
        "echo x > /proc/sys/kernel/hostname",
        "cat /proc/$PPID/environ",
        "cat /proc/1/environ",
        "cat /proc/$PPID/root/etc/shadow",
        "cat /dev/kmsg",
        "touch /usr/made",
    ] {
        let (code, said) = run(&scratch, true, &[], script);
        assert!(code != 0 && !said.is_empty() && said != "s", "{script}: {code} {said}");
    }
    assert_eq!(std::fs::read(scratch.0.join("secret")).unwrap(), b"s");
    for script in ["echo x > made", "rm file", "mkdir sub", "chmod 700 file && echo y > file"] {
        assert_ne!(run(&scratch, false, &[], script).0, 0, "{script}");
    }
    assert_eq!(std::fs::read(scratch.0.join("in/file")).unwrap(), b"f");
}

#[test]
fn a_link_in_a_readable_path_is_not_followed() {
    let scratch = Scratch::new("links");
    std::os::unix::fs::symlink(&scratch.0, scratch.0.join("in/link")).unwrap();
    let confinement = Confinement { folders: Vec::new(), readable: vec![scratch.0.join("in/link/secret")] };
    let start = Running::start(Command::new("/bin/true"), Stdio::null(), None, Some(confinement));
    let refused = block_on(start).unwrap_err().to_string();
    assert!(refused.starts_with("readable_paths: ") && refused.contains("link/secret"), "{refused}");
}

#[test]
fn readable_paths_are_read_and_run_and_not_changed() {
    let scratch = Scratch::new("readable");
    let secret = scratch.0.join("secret");
    assert_eq!(run(&scratch, true, &[&secret], "cat $SECRET"), (0, "s".to_owned()));
    if has_landlock() {
        assert_ne!(run(&scratch, true, &[&secret], "echo x > $SECRET").0, 0);
    }
}

/// A Python script that tries a service's socket, a user namespace through `clone3`, an x32 system call and more;
/// all of them must be refused.
const CALLS: &str = r#"
import ctypes, errno, os, resource, socket
libc = ctypes.CDLL(None, use_errno=True)
def check(what, refused, *errors):
    try: refused()
    except OSError as error:
        if error.errno in (errors or (errno.EPERM,)): return
        print(what, error)
    else: print(what, 'is allowed')
    os._exit(print(end='', flush=True) or 0)
def call(number, *arguments):
    if libc.syscall(number, *arguments) == -1: raise OSError(ctypes.get_errno(), 'refused')
flags = (ctypes.c_uint64 * 11)(0x10000000, 0, 0, 0, 17)
check('clone3', lambda: call(435, flags, 88), errno.ENOSYS)
if os.uname().machine == 'x86_64':
    check('ptrace of x32', lambda: call(0x40000000 | 521, 0, 0, 0, 0), errno.EPERM, errno.ENOSYS)
    check('shmget', lambda: call(29, 0x7ffe, 4096, 0o1600))
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
    check(f'socket {kind}', lambda: socket.socket(socket.AF_UNIX, kind))
for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
    check(f'socketpair {kind}', lambda: socket.socketpair(socket.AF_UNIX, kind))
socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
parent = os.getppid()
check('prlimit', lambda: resource.prlimit(parent, resource.RLIMIT_NOFILE))
resource.getrlimit(resource.RLIMIT_NOFILE)
check('setpriority', lambda: os.setpriority(os.PRIO_PROCESS, parent, 19))
value = (ctypes.c_uint64 * 3)(0, 0, 0)
check('setxattrat', lambda: call(463, -100, b'../secret', 0, b'user.x', ctypes.byref(value), 16))
check('file_setattr', lambda: call(469, -100, b'../secret', ctypes.byref(value), 24, 0))
# No thread of the parent process is in the domain of this one.
gone = (errno.EPERM, errno.EACCES, errno.ESRCH, errno.ENOENT)
for task in os.listdir(f'/proc/{parent}/task'):
    check(f'signal to {task}', lambda: os.kill(int(task), 0), *gone)
    check(f'memory of {task}', lambda: open(f'/proc/{task}/mem', 'rb'), *gone)
raise SystemExit('all of it is not permitted')
"#;

#[test]
fn calls_that_look_into_others_or_change_the_machine_are_refused() {
    let scratch = Scratch::new("calls");
    if filters(true).is_empty() {
        return;
    }
    std::fs::write(scratch.0.join("in/calls.py"), CALLS).unwrap();
    let python = "exec python3 calls.py";
    for script in ["unshare --user true", "unshare --mount true", "mount -t tmpfs none .", "chroot . true", python] {
        let (code, said) = run(&scratch, true, &[], script);
        assert!(code != 0 && said.contains("permi"), "{script}: {code} {said}");
    }
    let (code, said) = run(&scratch, false, &[], "chmod 000 ../secret");
    assert!(code != 0 && said.contains("permi"), "{code} {said}");
    if missing().is_none() {
        let (code, said) = run(&scratch, true, &[], "kill -0 $PPID");
        assert!(code != 0 && said.contains("not permitted"), "{code} {said}");
    }
    // Only the child and a thread that has ended were confined, not this process.
    assert!(std::fs::read("/etc/passwd").is_ok() && std::fs::read(scratch.0.join("secret")).is_ok());
}
