//! Reaps orphans when the program is process 1 of a container: the kernel makes process 1 the parent of orphaned processes, and
//! these remain zombies until it waits for them.
//!
//! Programs that plugins start are children too, and the plugin waits for its own. Each of them leads a process group in this
//! program's session, which orphans rarely do. Such a zombie is left to the plugin, and reaped only after [`PATIENCE`].

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitOptions, getpid, waitpid};

/// How long a zombie that may belong to a plugin is left to it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for orphans.
pub struct Reaper {
    own: i32,
    session: i32,
    // Zombies that may belong to plugins, and when they were first seen.
    seen: HashMap<i32, Instant>,
}

/// A process, as `/proc/PID/stat` describes it.
struct Process {
    pid: i32,
    is_zombie: bool,
    parent: i32,
    group: i32,
    session: i32,
}

impl Reaper {
    /// A reaper if this is process 1, else none.
    pub fn of_first_process() -> Option<Self> {
        let own = getpid();
        // If the session began outside the container, its number is 0 here.
        let session = status(own.as_raw_nonzero().get())?.session;
        own.is_init().then(|| Self { own: own.as_raw_nonzero().get(), session, seen: HashMap::new() })
    }

    /// Waits for orphans that have ended.
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
                tracing::debug!("waiting for process {pid:?} failed: {error}");
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
    // The name may contain spaces and parentheses: the fields begin after the last parenthesis.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let is_zombie = fields.next() == Some("Z");
    let mut number = || fields.next()?.parse::<i32>().ok();
    Some(Process { pid, is_zombie, parent: number()?, group: number()?, session: number()? })
}
