//! Memory budgets of the program (`--memory`), of each tree of actors, and of each subtree with `tree_bytes`.
//!
//! Accounts form a tree, with the program's account at the root. A charge counts in an account and all its ancestors, or, if
//! one of them refuses it, in none. Linear memories, tables, states, manifests, components compiled for actors, the arguments
//! of queued calls and a fixed amount per actor are charged. The fixed amount includes the first 4 KiB of its tables and of
//! its mailbox.
//!
//! Memory of the process beyond the charges and [`PROGRAM_BYTES`] counts too: memory that the allocator retains, and memory
//! that no charge covers. The thread of the watchdog measures it four times a second.
//!
//! The last eighth of the program's budget is reserved for trees that use less than an eighth of it. A larger tree's top-level
//! actor itself may use half of that reserve, so that it can still run, and stop children, when they have used up the rest:
//! the other trees have at least a sixteenth.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The fixed charge of an actor, besides its instance, state and mailbox, bytes.
pub const ACTOR_BYTES: u64 = 16 * 1024;

/// Memory that the program itself may use without a charge, bytes: its data, buffers, caches and thread stacks.
pub const PROGRAM_BYTES: u64 = 192 * 1024 * 1024;

/// A memory limit, and how much of it is used.
#[derive(Debug)]
pub struct Account {
    limit: u64,
    // The name of the actor whose `tree_bytes` it is; empty if the limit is not a `tree_bytes`.
    owner: String,
    used: AtomicU64,
    // Only in the program's account: memory of the process beyond the charges and `PROGRAM_BYTES`.
    uncharged: AtomicU64,
    instances: AtomicU64,
    above: Option<Arc<Self>>,
}

/// A charge exceeds a limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes more are over {limit}")]
pub struct Exceeded {
    bytes: u64,
    limit: String,
}

impl Exceeded {
    /// The words after the number of bytes. They identify this error in the text of another one.
    pub const MARK: &str = " bytes more are over ";
}

impl Account {
    /// The program's account.
    #[must_use]
    pub fn program(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            limit,
            owner: String::new(),
            used: 0.into(),
            uncharged: 0.into(),
            instances: 0.into(),
            above: None,
        })
    }

    /// The account of a top-level actor, or of an actor with its own limit (`tree_bytes`; 0 is no limit).
    #[must_use]
    pub fn below(self: &Arc<Self>, owner: &str, tree_bytes: u64) -> Arc<Self> {
        let (limit, owner) = match tree_bytes {
            0 => (u64::MAX, String::new()),
            limit => (limit, owner.to_owned()),
        };
        let above = Some(Arc::clone(self));
        Arc::new(Self { limit, owner, used: 0.into(), uncharged: 0.into(), instances: 0.into(), above })
    }

    /// Charges bytes until the result is dropped.
    ///
    /// # Errors
    /// The limit that would be exceeded.
    pub fn charge(self: &Arc<Self>, bytes: u64) -> Result<Charge, Exceeded> {
        let mut charge = self.nothing();
        charge.resize(bytes)?;
        Ok(charge)
    }

    /// A charge of 0 bytes, to be resized.
    #[must_use]
    pub fn nothing(self: &Arc<Self>) -> Charge {
        Charge { account: Arc::clone(self), bytes: 0, is_top_level: false }
    }

    /// A charge of 0 bytes for a top-level actor itself. It may use half of the reserve, so that a supervisor can still run,
    /// and stop children, when these have used up what their tree can get.
    #[must_use]
    pub fn nothing_of_top_level(self: &Arc<Self>) -> Charge {
        Charge { account: Arc::clone(self), bytes: 0, is_top_level: true }
    }

    /// Whether more than three quarters of the program's budget are used, so that idle instances should be dropped.
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        match &self.above {
            Some(above) => above.is_pressed(),
            None => self.used() + self.uncharged.load(Ordering::Relaxed) > self.limit / 4 * 3,
        }
    }

    /// Updates the program's account with the resident memory of the process, bytes (without file-backed pages).
    pub fn observe_resident(&self, resident: u64) {
        let uncharged = resident.saturating_sub(self.used().saturating_add(PROGRAM_BYTES));
        self.uncharged.store(uncharged, Ordering::Relaxed);
    }

    /// The limit, bytes.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// The bytes charged now.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// The account of the tree: the one of its top-level actor.
    #[must_use]
    pub fn tree(&self) -> &Self {
        match &self.above {
            Some(above) if above.above.is_some() => above.tree(),
            _ => self,
        }
    }

    /// A number that identifies the tree.
    #[must_use]
    pub fn tree_number(&self) -> usize {
        std::ptr::from_ref(self.tree()) as usize
    }

    /// Counts one more instance of the tree, or wait for one.
    pub(crate) fn instance_made(&self) {
        self.tree().instances.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of instances of the tree and of waits for one.
    pub(crate) fn instances(&self) -> u64 {
        self.tree().instances.load(Ordering::Relaxed)
    }

    /// Counts one less instance of the tree, or wait for one.
    pub(crate) fn instance_dropped(&self) {
        self.tree().instances.fetch_sub(1, Ordering::Relaxed);
    }

    fn add(&self, bytes: u64, is_top_level: bool) -> Result<(), Exceeded> {
        let (mut account, mut below) = (self, 0);
        loop {
            let used = account.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
            let share = account.limit / 8;
            // `below` is what the tree uses. Small trees have the reserve, whatever large ones leave uncharged.
            let (kept, uncharged) = match account.above {
                None if below > share && is_top_level => (share / 2, 0),
                None if below > share => (share, account.uncharged.load(Ordering::Relaxed)),
                _ => (0, 0),
            };
            if used.saturating_add(uncharged) > account.limit - kept {
                self.subtract_until(bytes, account);
                return Err(Exceeded { bytes, limit: account.limit_text() });
            }
            below = used;
            match &account.above {
                Some(above) => account = above,
                None => return Ok(()),
            }
        }
    }

    fn limit_text(&self) -> String {
        match self.above {
            Some(_) => format!("tree_bytes = {} of actor {:?}", self.limit, self.owner),
            None => format!("the program's memory budget ({} bytes; --memory raises it)", self.limit),
        }
    }

    /// Takes a charge back from this account and its ancestors up to `last`.
    fn subtract_until(&self, bytes: u64, last: &Self) {
        let mut account = self;
        loop {
            account.used.fetch_sub(bytes, Ordering::Relaxed);
            match &account.above {
                Some(above) if !std::ptr::eq(account, last) => account = above,
                _ => return,
            }
        }
    }

    fn subtract(&self, bytes: u64) {
        let mut account = self;
        loop {
            account.used.fetch_sub(bytes, Ordering::Relaxed);
            match &account.above {
                Some(above) => account = above,
                None => return,
            }
        }
    }
}

/// Bytes charged to an account; the charge is taken back when this is dropped.
#[derive(Debug)]
pub struct Charge {
    account: Arc<Account>,
    bytes: u64,
    is_top_level: bool,
}

impl Charge {
    /// The bytes charged.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Changes the charge to `bytes`.
    ///
    /// # Errors
    /// The limit that would be exceeded; the charge is then unchanged.
    pub fn resize(&mut self, bytes: u64) -> Result<(), Exceeded> {
        match bytes.checked_sub(self.bytes) {
            Some(0) => {}
            Some(more) => self.account.add(more, self.is_top_level)?,
            None => self.account.subtract(self.bytes - bytes),
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Reduces the charge to at most `bytes`.
    pub fn shrink(&mut self, bytes: u64) {
        if bytes < self.bytes {
            self.account.subtract(self.bytes - bytes);
            self.bytes = bytes;
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.account.subtract(self.bytes);
        }
    }
}

/// The memory that this process may use, bytes: that of the machine, or less if its control group has a limit.
#[must_use]
pub fn available_memory() -> u64 {
    let info = rustix::system::sysinfo();
    let machine = info.totalram as u64 * u64::from(info.mem_unit);
    control_group_limit().map_or(machine, |limit| limit.min(machine))
}

/// The resident memory of this process without file-backed pages, bytes. `None` if the system does not report it.
#[must_use]
pub fn resident_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = text.split(' ').skip(1).map_while(|number| number.parse::<u64>().ok());
    let (resident, of_files) = (pages.next()?, pages.next()?);
    Some(resident.saturating_sub(of_files) * rustix::param::page_size() as u64)
}

/// The smallest memory limit of the process's control group and its ancestors (cgroup v2 `memory.max`, v1
/// `memory.limit_in_bytes`).
fn control_group_limit() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let limits = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next()?, parts.next()?);
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            v1 if v1.split(',').any(|controller| controller == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => return None,
        };
        smallest_limit(std::path::Path::new(root), group, file)
    });
    limits.min()
}

fn smallest_limit(root: &std::path::Path, group: &str, file: &str) -> Option<u64> {
    let group = std::path::Path::new(group.trim_start_matches('/'));
    // In a container the path of the group may not be visible. The root then has the limit of the container.
    let limits = group.ancestors().filter_map(|group| {
        let text = std::fs::read_to_string(root.join(group).join(file)).ok()?;
        text.trim().parse::<u64>().ok()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_counts_in_every_account_above_and_is_taken_back() {
        let program = Account::program(8_000);
        let tree = program.below("tree", 0);
        let part = tree.below("part", 500);
        let mut charge = part.charge(300).unwrap();
        assert_eq!((part.used(), tree.used(), program.used()), (300, 300, 300));
        let refused = charge.resize(501).unwrap_err().to_string();
        assert!(
            refused.contains("tree_bytes = 500 of actor \"part\"") && refused.contains(Exceeded::MARK),
            "{refused}"
        );
        assert_eq!((part.used(), tree.used(), program.used(), charge.bytes), (300, 300, 300, 300));
        charge.resize(100).unwrap();
        assert_eq!((part.used(), program.used()), (100, 100));
        drop(charge);
        assert_eq!((part.used(), tree.used(), program.used()), (0, 0, 0));
    }

    #[test]
    fn one_tree_leaves_an_eighth_of_the_program_to_the_others() {
        let program = Account::program(8_000);
        let (greedy, modest) = (program.below("greedy", 0), program.below("modest", 0));
        let taken = greedy.charge(7_000).unwrap();
        assert!(greedy.charge(1).unwrap_err().to_string().contains("--memory"));
        let other = modest.charge(1_000).unwrap();
        assert!(modest.charge(1).is_err());
        drop((taken, other));
        assert_eq!(program.used(), 0);
    }

    #[test]
    fn memory_that_no_charge_covers_counts_once_it_is_beyond_the_programs_own() {
        let program = Account::program(8_000);
        let tree = program.below("tree", 0);
        let mut charge = tree.charge(4_000).unwrap();
        program.observe_resident(PROGRAM_BYTES + 4_000);
        assert!(charge.resize(7_000).is_ok() && charge.resize(4_000).is_ok() && !program.is_pressed());
        program.observe_resident(PROGRAM_BYTES + 6_500);
        assert!(program.is_pressed());
        assert!(charge.resize(4_500).is_ok() && charge.resize(4_501).is_err());
        // Another tree still has its eighth, of which the top-level actor itself may use half.
        let mut own = tree.nothing_of_top_level();
        assert!(own.resize(3_000).is_ok() && own.resize(3_001).is_err());
        let other = program.below("other", 0);
        assert!(other.charge(500).is_ok() && other.charge(501).is_err());
        drop(own);
        assert!(other.charge(1_000).is_ok());
        program.observe_resident(0);
        assert!(charge.resize(7_000).is_ok());
    }

    #[test]
    fn this_process_has_memory_and_more_with_more_of_it() {
        let before = resident_memory().unwrap();
        let more = vec![1_u8; 64 << 20];
        let with = resident_memory().unwrap();
        assert!(before > 0 && with >= before + (48 << 20), "{before} and {with}");
        drop(more);
    }

    #[test]
    fn the_tree_of_an_account_is_that_of_its_top_level_actor() {
        let program = Account::program(1);
        let top = program.below("top", 0);
        let part = top.below("part", 1).below("leaf", 1);
        part.instance_made();
        top.instance_made();
        assert_eq!((part.instances(), top.instances()), (2, 2));
        top.instance_dropped();
        assert_eq!(part.instances(), 1);
        assert!(std::ptr::eq(program.tree(), &*program));
    }

    #[test]
    fn the_smallest_limit_of_a_control_group_and_those_above_counts() {
        let scratch = tempfile::tempdir().unwrap();
        let inner = scratch.path().join("a/b");
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::write(scratch.path().join("memory.max"), "max\n").unwrap();
        std::fs::write(scratch.path().join("a/memory.max"), "1000\n").unwrap();
        std::fs::write(inner.join("memory.max"), "2000\n").unwrap();
        assert_eq!(smallest_limit(scratch.path(), "/a/b", "memory.max"), Some(1_000));
        assert_eq!(smallest_limit(scratch.path(), "/a/gone", "memory.max"), Some(1_000));
        assert_eq!(smallest_limit(scratch.path(), "/", "memory.max"), None);
    }
}
