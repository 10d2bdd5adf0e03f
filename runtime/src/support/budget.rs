//! Memory budgets: of the program (`--memory`), of each tree of actors, and of each subtree with `tree_bytes`.
//!
//! Accounts form the tree of the actors that have one, with the program's at the top. A charge is made against an account and
//! all above it, or against none. Charged are linear memories, tables, states, manifests, the components that actors had
//! compiled, the arguments of calls that wait, and a fixed sum for each actor. That sum includes the first 4 KiB of its tables and
//! of its mailbox.
//!
//! What the process has in memory beyond the charges and [`PROGRAM_BYTES`] counts too: memory that the allocator holds for
//! later, and whatever no charge covers. The watchdog's thread measures it four times a second.
//!
//! The last eighth of the program's budget is for trees that use less than an eighth of it: one tree that takes all it can
//! get leaves the others room to go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What an actor is taken to need beside its instance, state and mailbox, bytes.
pub const ACTOR_BYTES: u64 = 16 * 1024;

/// Memory that the program itself may have beside what is charged, bytes: its data, buffers, caches and thread stacks.
pub const PROGRAM_BYTES: u64 = 192 * 1024 * 1024;

/// What may be used, and what is.
#[derive(Debug)]
pub struct Account {
    limit: u64,
    // The actor whose `tree_bytes` it is; empty for the program and for top-level actors without such a limit.
    owner: String,
    used: AtomicU64,
    // Of the program's account: memory of the process beyond what is charged and `PROGRAM_BYTES`.
    uncharged: AtomicU64,
    instances: AtomicU64,
    above: Option<Arc<Self>>,
}

/// A charge that a limit does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes more are over {limit}")]
pub struct Exceeded {
    bytes: u64,
    limit: String,
}

impl Exceeded {
    /// How the sentence goes on behind the number of bytes: what tells such a failure from others.
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

    /// The account of an actor that is a top-level actor or has a limit of its own (`tree_bytes`; 0 is none).
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
    /// The limit that does not allow it.
    pub fn charge(self: &Arc<Self>, bytes: u64) -> Result<Charge, Exceeded> {
        let mut charge = self.nothing();
        charge.resize(bytes)?;
        Ok(charge)
    }

    /// A charge of nothing yet.
    #[must_use]
    pub fn nothing(self: &Arc<Self>) -> Charge {
        Charge { account: Arc::clone(self), bytes: 0 }
    }

    /// Whether so much of the program's budget is used that idle instances are better dropped.
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        match &self.above {
            Some(above) => above.is_pressed(),
            None => self.used() + self.uncharged.load(Ordering::Relaxed) > self.limit / 4 * 3,
        }
    }

    /// The program's account learns how much memory the process has, in bytes (without pages of files).
    pub fn observe_resident(&self, resident: u64) {
        let uncharged = resident.saturating_sub(self.used().saturating_add(PROGRAM_BYTES));
        self.uncharged.store(uncharged, Ordering::Relaxed);
    }

    /// The most that may be charged.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes charged at the moment.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// The account of the tree: that of the top-level actor.
    #[must_use]
    pub fn tree(&self) -> &Self {
        match &self.above {
            Some(above) if above.above.is_some() => above.tree(),
            _ => self,
        }
    }

    /// A number of the tree that no other tree has.
    #[must_use]
    pub fn tree_number(&self) -> usize {
        std::ptr::from_ref(self.tree()) as usize
    }

    /// Counts an instance of the tree, or a wait for one.
    pub(crate) fn instance_made(&self) {
        self.tree().instances.fetch_add(1, Ordering::Relaxed);
    }

    /// Instances of the tree, and waits for one.
    pub(crate) fn instances(&self) -> u64 {
        self.tree().instances.load(Ordering::Relaxed)
    }

    /// An instance of the tree is gone.
    pub(crate) fn instance_dropped(&self) {
        self.tree().instances.fetch_sub(1, Ordering::Relaxed);
    }

    fn add(&self, bytes: u64) -> Result<(), Exceeded> {
        let (mut account, mut below) = (self, 0);
        loop {
            let used = account.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
            let share = account.limit / 8;
            // `below` is what the tree uses.
            let kept = if account.above.is_none() && below > share { share } else { 0 };
            let uncharged = account.uncharged.load(Ordering::Relaxed);
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

    /// Takes a charge back from this account to `last`.
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

/// Bytes that are charged; taken back when dropped.
#[derive(Debug)]
pub struct Charge {
    account: Arc<Account>,
    bytes: u64,
}

impl Charge {
    /// Bytes charged.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes it a charge of `bytes`.
    ///
    /// # Errors
    /// The limit that does not allow it; then the charge is what it was.
    pub fn resize(&mut self, bytes: u64) -> Result<(), Exceeded> {
        match bytes.checked_sub(self.bytes) {
            Some(0) => {}
            Some(more) => self.account.add(more)?,
            None => self.account.subtract(self.bytes - bytes),
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Makes it a charge of at most `bytes`.
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

/// The memory that this process may use: what the machine has, or its control group allows, bytes.
#[must_use]
pub fn available_memory() -> u64 {
    let info = rustix::system::sysinfo();
    let machine = info.totalram as u64 * u64::from(info.mem_unit);
    control_group_limit().map_or(machine, |limit| limit.min(machine))
}

/// The memory that this process has, without pages of files, bytes; nothing where the system does not tell.
#[must_use]
pub fn resident_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = text.split(' ').skip(1).map_while(|number| number.parse::<u64>().ok());
    let (resident, of_files) = (pages.next()?, pages.next()?);
    Some(resident.saturating_sub(of_files) * rustix::param::page_size() as u64)
}

/// The smallest memory limit of the process's control group and those above it (cgroup v2 `memory.max`, v1
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
    // Within a container the group's own path may not be visible: its root then has the container's limit.
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
        // Another tree still has its eighth.
        assert!(program.below("other", 0).charge(1_000).is_ok());
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
