//! The duty of process 1, as which the program may run in a container: the system makes processes whose parent has ended its
//! children, and they stay zombies until it has waited for them.
//!
//! Programs that plugins start are children, too, and whoever started one waits for it. Those lead a process group in this
//! program's session, which what others leave behind rarely does; so such a zombie is left alone unless it has been one for
//! so long that nobody waits for it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitOptions, getpid, waitpid};

/// How long a zombie that may be a plugin's own program is left to it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for orphans.
pub struct Reaper {
    own: i32,
    session: i32,
    // Zombies that may be plugins' programs, and since when they were seen.
    seen: HashMap<i32, Instant>,
}

/// What `/proc/PID/stat` says of a process.
struct Process {
    pid: i32,
    is_zombie: bool,
    parent: i32,
    group: i32,
    session: i32,
}

impl Reaper {
    /// One, where this is process 1.
    pub fn of_first_process() -> Option<Self> {
        let own = getpid();
        // Of a session that began outside of the container the number is 0 in here.
        let session = status(own.as_raw_nonzero().get())?.session;
        own.is_init().then(|| Self { own: own.as_raw_nonzero().get(), session, seen: HashMap::new() })
    }

    /// Waits for those that have ended.
    pub fn reap(&mut self) {
        let zombies = zombies(self.own);
        self.seen.retain(|pid, _| zombies.iter().any(|zombie| zombie.pid == *pid));
        for Process { pid, group, session, .. } in zombies {
            let may_be_a_plugins = group == pid && session == self.session;
            if may_be_a_plugins && self.seen.entry(pid).or_insert_with(Instant::now).elapsed() < PATIENCE {
                continue;
            }
            if let Some(pid) = Pid::from_raw(pid)
                && let Err(error) = waitpid(Some(pid), WaitOptions::NOHANG)
            {
                tracing::debug!("process {pid:?} could not be waited for: {error}");
            }
        }
    }
}

/// The zombies among the children of a process.
fn zombies(parent: i32) -> Vec<Process> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(status).filter(|process| process.is_zombie && process.parent == parent).collect()
}

fn status(pid: i32) -> Option<Process> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may have blanks and parentheses: fields begin behind the last one.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let is_zombie = fields.next() == Some("Z");
    let mut number = || fields.next()?.parse::<i32>().ok();
    Some(Process { pid, is_zombie, parent: number()?, group: number()?, session: number()? })
}
