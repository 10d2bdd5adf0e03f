//! The short forms of the soak programs.

use std::process::Command;

fn soak(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("the soak program runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {out}{err}");
    out.into_owned()
}

const SCALE: &str = env!("CARGO_BIN_EXE_scale_soak");

#[test]
fn idle_actors_hold_no_instance_and_still_answer() {
    assert!(soak(SCALE, &["idle", "2000"]).contains("\"actors\":2000"));
}

#[test]
fn starts_and_stops_leave_nothing_behind() {
    soak(SCALE, &["churn", "200"]);
}

#[test]
fn a_small_program_serves_in_a_small_memory() {
    soak(SCALE, &["memory"]);
}

const ADVERSARY: &str = env!("CARGO_BIN_EXE_adversary");

#[test]
fn the_worst_actor_gets_nothing_and_hinders_nobody() {
    let figures = soak(ADVERSARY, &["run", "10"]);
    assert!(figures.contains("\"wrong\":0"), "{figures}");
    assert!(figures.contains("as many as max_channels of its handler message-server allows"), "{figures}");
}

#[test]
fn no_file_outside_the_grants_is_opened_as_the_system_sees_it() {
    assert!(soak(ADVERSARY, &["files"]).contains("\"opened_outside\":[]"));
}

const STORE: &str = env!("CARGO_BIN_EXE_store_soak");

#[test]
fn what_a_store_answered_survives_kill_9_of_the_program() {
    let figures = soak(STORE, &["kills", "--kills", "5"]);
    assert!(figures.contains("\"kills\":5") && figures.contains("\"wrong\":0"), "{figures}");
}

/// Ignores the limits, which depend on the machine. The soak program itself checks that all contents are there, sorted
/// and unchanged.
#[test]
fn a_store_of_a_thousand_contents_gives_each_by_its_label_and_lists_them_all() {
    let output = Command::new(STORE).arg("size").output().expect("the soak program runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(matches!(output.status.code(), Some(0 | 1)), "{out}{err}");
    assert!(out.contains("\"contents\":1000") && out.contains("\"get_from_disk\":{"), "{out}{err}");
}

const TALK: &str = env!("CARGO_BIN_EXE_talk_soak");

#[test]
fn actors_that_talk_while_some_are_stopped_and_restarted_lose_and_double_nothing() {
    let figures = soak(TALK, &["chat", "100", "5000"]);
    assert!(figures.contains("\"lost\":0") && figures.contains("\"doubled\":0"), "{figures}");
}

#[test]
fn a_busy_parent_is_told_of_every_child_that_failed_meanwhile() {
    assert!(soak(TALK, &["busy", "5"]).contains("\"notified\":200"));
}

/// Ignores the limit of the 99th percentile, which depends on the machine.
#[test]
fn actors_beside_one_that_is_stuck_answer() {
    let output = Command::new(TALK).args(["stuck", "1"]).output().expect("the soak program runs");
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(out.contains("\"p99_ratio\""), "{out}{}", String::from_utf8_lossy(&output.stderr));
}

const WEB: &str = env!("CARGO_BIN_EXE_web_soak");

#[test]
fn websockets_that_say_nothing_stay_open() {
    assert!(soak(WEB, &["idle", "300", "1"]).contains("\"websockets\":300"));
}

/// Ignores the limit, which depends on the machine. The soak program itself checks that all readers get every message.
#[test]
fn a_broadcast_reaches_all_beside_one_that_never_reads() {
    let output = Command::new(WEB).args(["broadcast", "20", "5", "1"]).output().expect("the soak program runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("\"clients\":20"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_a_program_writes_arrives_whole() {
    assert!(soak(WEB, &["output", "5"]).contains("\"whole\":true"));
}

const CRASH: &str = env!("CARGO_BIN_EXE_crash_soak");

#[test]
fn programs_are_killed_and_their_actors_go_on() {
    for sync in ["always", "batch"] {
        assert!(soak(CRASH, &[sync, "4"]).contains("\"kills\":4"));
    }
}

const JOURNAL: &str = env!("CARGO_BIN_EXE_journal_soak");

/// Ignores the limits, which depend on the machine. The soak program itself checks that every row is found.
#[test]
fn of_many_events_those_that_are_meant_are_found() {
    let output = Command::new(JOURNAL).arg("500000").output().expect("the soak program runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("\"rows\":2,"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

const HISTORIES: &str = env!("CARGO_BIN_EXE_histories");

#[test]
fn histories_of_every_function_replay() {
    assert!(soak(HISTORIES, &["1"]).contains("\"functions\":89"));
}
