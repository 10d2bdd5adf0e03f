//! Ends the programs when the runtime ends, even by SIGKILL, which no process can handle.
//!
//! A shell in its own process group reads the numbers of the running groups from a pipe. The system closes the pipe
//! when this process ends; then the shell kills those groups. A program that has left its group (`setsid(1)`) is not
//! killed.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use blocking::unblock;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::Pid;

/// Input lines: `+ N`, group N is running; `- N`, it has ended. The shell ignores the signals that a terminal or a
/// service manager sends to all processes.
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

static GUARDIAN: Mutex<Guardian> = Mutex::new(Guardian { groups: BTreeSet::new(), shell: None });

struct Guardian {
    groups: BTreeSet<i32>,
    shell: Option<Child>,
}

/// Registers a running group. If no guardian can be started, programs outlive a runtime that is killed. Blocks.
pub(crate) fn runs(group: Pid) {
    let group = group.as_raw_nonzero().get();
    let mut guardian = GUARDIAN.lock().unwrap_or_else(PoisonError::into_inner);
    guardian.groups.insert(group);
    guardian.send(&format!("+ {group}\n"));
}

/// Unregisters a group. Call it after the whole group was killed and before its number becomes free for other
/// processes, or the guardian could kill a stranger. Blocks.
pub(crate) fn ended(group: Pid) {
    let group = group.as_raw_nonzero().get();
    let mut guardian = GUARDIAN.lock().unwrap_or_else(PoisonError::into_inner);
    guardian.groups.remove(&group);
    if guardian.shell.is_some() {
        guardian.send(&format!("- {group}\n"));
    }
}

impl Guardian {
    /// Sends a change to the shell. A shell that is gone or does not read is replaced by a new one, which gets all
    /// groups.
    fn send(&mut self, change: &str) {
        let pipe = self.shell.as_mut().and_then(|shell| shell.stdin.as_mut());
        if pipe.is_some_and(|pipe| pipe.write_all(change.as_bytes()).is_ok()) {
            return;
        }
        if let Some(mut gone) = self.shell.take() {
            // Kill it before its pipe closes, or it would kill the running groups.
            drop(gone.kill());
            unblock(move || gone.wait()).detach();
        }
        let all: String = self.groups.iter().map(|group| format!("+ {group}\n")).collect();
        if all.is_empty() {
            return;
        }
        self.shell = start().ok().and_then(|mut shell| {
            let told = shell.stdin.as_mut().is_some_and(|pipe| pipe.write_all(all.as_bytes()).is_ok());
            if !told {
                drop(shell.kill());
                unblock(move || shell.wait()).detach();
                return None;
            }
            Some(shell)
        });
    }
}

fn start() -> std::io::Result<Child> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", SCRIPT, "theater-guardian"]).env_clear().current_dir("/");
    shell.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let shell = shell.spawn()?;
    if let Some(pipe) = &shell.stdin {
        // A write must not block on a shell that was stopped.
        fcntl_setfl(pipe, fcntl_getfl(pipe)? | OFlags::NONBLOCK)?;
    }
    Ok(shell)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Child {
        Command::new("/bin/sleep").arg("1000").process_group(0).spawn().unwrap()
    }

    fn group(of: &Child) -> Pid {
        Pid::from_child(of)
    }

    #[test]
    fn what_has_ended_is_not_killed_and_a_guardian_that_is_gone_is_replaced() {
        let mut guardian = Guardian { groups: BTreeSet::new(), shell: None };
        let [mut running, mut ended] = [sleeper(), sleeper()];
        let number = |of: &Child| group(of).as_raw_nonzero().get();
        for child in [&running, &ended] {
            guardian.groups.insert(number(child));
            guardian.send(&format!("+ {}\n", number(child)));
        }
        let mut first = guardian.shell.take().unwrap();
        first.kill().unwrap();
        first.wait().unwrap();
        guardian.shell = Some(first);
        guardian.groups.remove(&number(&ended));
        guardian.send(&format!("- {}\n", number(&ended)));
        // Closing the pipe simulates the end of the runtime.
        let mut shell = guardian.shell.take().unwrap();
        drop(shell.stdin.take());
        assert!(shell.wait().unwrap().success());
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&running.wait().unwrap()), Some(9));
        assert!(ended.try_wait().unwrap().is_none());
        ended.kill().unwrap();
        ended.wait().unwrap();
    }
}
