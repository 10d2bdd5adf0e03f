//! Programs end with the runtime, however it ends: also by SIGKILL, which no process can act upon.
//!
//! A shell of its own group reads the numbers of all groups that run from a pipe. The system closes the pipe when this process
//! is gone, and the shell kills what is left. What has left its group escapes it, as it does everywhere.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use rustix::process::Pid;

/// `+ N`: the group N runs; `- N`: it has ended. Signals that whole terminals and services get are not for this one.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
groups=' '
while read -r change group; do
    case $change in
    +) groups="$groups$group " ;;
    -) case $groups in *" $group "*) groups="${groups%%" $group "*} ${groups#*" $group "}" ;; esac ;;
    esac
done
for group in $groups; do kill -KILL "-$group"; done
"#;

static GUARDIAN: Mutex<Option<Child>> = Mutex::new(None);

/// The group runs from now on. Where no guardian can be started, programs outlive a runtime that is killed.
pub(crate) fn runs(group: Pid) {
    let mut guardian = GUARDIAN.lock().unwrap_or_else(PoisonError::into_inner);
    if guardian.is_none() {
        *guardian = start().ok();
    }
    tell(&mut guardian, '+', group);
}

/// All of the group has been killed, and its number is about to be free for others.
pub(crate) fn ended(group: Pid) {
    tell(&mut GUARDIAN.lock().unwrap_or_else(PoisonError::into_inner), '-', group);
}

fn tell(guardian: &mut Option<Child>, change: char, group: Pid) {
    let Some(pipe) = guardian.as_mut().and_then(|guardian| guardian.stdin.as_mut()) else { return };
    if writeln!(pipe, "{change} {}", group.as_raw_nonzero()).is_ok() {
        return;
    }
    // Somebody killed it: the next program gets another one.
    if let Some(mut gone) = guardian.take() {
        drop(gone.kill());
        drop(gone.wait());
    }
}

fn start() -> std::io::Result<Child> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", SCRIPT, "theater-guardian"]).env_clear().current_dir("/");
    shell.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}
