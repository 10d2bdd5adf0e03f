//! What a confined program may reach: listed paths by Landlock (`landlock(7)`), the system's own folders to read, and no
//! system calls that change the machine or look into other processes (`seccomp(2)`).
//!
//! Both hold for the thread that asks for them and for all it starts. So a confined program is started by a thread of its
//! own, which ends then.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// The newest rights this knows of: what the kernel lacks of them is left out.
const RIGHTS: ABI = ABI::V7;
/// What programs need of the system to run at all: code, libraries, and how names, users, time and certificates are looked up.
const SYSTEM: [&str; 24] = [
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/usr",
    "/nix/store",
    "/gnu/store",
    "/proc",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/group",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/pki",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl",
];
/// Devices without a state, to read and write.
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// The paths that a confined program may reach besides the system's.
#[derive(Debug)]
pub struct Confinement {
    /// Open folders, each with whether what is in it may be changed.
    pub folders: Vec<(OwnedFd, bool)>,
    /// Folders and files to read and run. Links in these paths are followed.
    pub readable: Vec<PathBuf>,
}

impl Confinement {
    /// Confines this thread and all it starts from now on to this, to `program` and to the system's paths.
    pub(crate) fn enter(&self, program: &Path) -> io::Result<()> {
        let failed = |error: &dyn std::fmt::Display| io::Error::other(format!("it could not be confined: {error}"));
        rules(self, program).map_err(|error| failed(&error))?;
        if let Some(filter) = filter() {
            seccompiler::apply_filter(filter).map_err(|error| failed(&error))?;
        }
        drop_capabilities().map_err(|error| failed(&error))
    }
}

fn rules(paths: &Confinement, program: &Path) -> Result<(), RulesetError> {
    let (read, all) = (AccessFs::from_read(RIGHTS), AccessFs::from_all(RIGHTS));
    let folders = paths.folders.iter().map(|(folder, is_writable)| {
        Ok::<_, RulesetError>(PathBeneath::new(folder.as_fd(), if *is_writable { all } else { read }))
    });
    ruleset()?
        .add_rules(path_beneath_rules(SYSTEM, read))?
        .add_rules(path_beneath_rules([program], read))?
        .add_rules(path_beneath_rules(&paths.readable, read))?
        .add_rules(path_beneath_rules(DEVICES, AccessFs::ReadFile | AccessFs::WriteFile))?
        .add_rules(folders)?
        .restrict_self()
        .map(drop)
}

/// What root may do to files, programs and ports of its own. With more it looks into any process through /proc.
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::NET_BIND_SERVICE);

/// Gives up all other capabilities: what is started has no more either, since Landlock and seccomp forbid new ones.
fn drop_capabilities() -> io::Result<()> {
    let CapabilitySets { effective, permitted, inheritable } = capabilities(None)?;
    let [effective, permitted, inheritable] = [effective, permitted, inheritable].map(|set| set & KEPT);
    Ok(set_capabilities(None, CapabilitySets { effective, permitted, inheritable })?)
}

/// What is denied wherever no rule allows it: all of files and folders, and signals and abstract sockets of others.
fn ruleset() -> Result<RulesetCreated, RulesetError> {
    let rules = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
    rules.handle_access(AccessFs::from_all(RIGHTS))?.scope(Scope::from_all(RIGHTS))?.create()
}

/// What this machine lacks to confine programs in full, as a sentence for whoever started it; none where nothing is missing.
/// Asked once.
#[must_use]
pub fn missing() -> Option<&'static str> {
    static MISSING: OnceLock<Option<&str>> = OnceLock::new();
    *MISSING.get_or_init(|| {
        // Asked on a thread that ends: what it denies itself holds for good.
        let asked = std::thread::spawn(|| ruleset().and_then(RulesetCreated::restrict_self).map(|now| now.ruleset));
        let landlock = asked.join().ok().and_then(Result::ok).unwrap_or(RulesetStatus::NotEnforced);
        match (landlock, filter()) {
            (RulesetStatus::NotEnforced, _) => Some(
                "this kernel has no Landlock (Linux 5.13, and `landlock` in its list of security modules): programs are NOT \
                 confined to their paths",
            ),
            (RulesetStatus::PartiallyEnforced, _) => Some(
                "this kernel has an older Landlock: programs are confined to their paths, but may do more than with Linux \
                 6.12, such as sending signals to other processes of the same user",
            ),
            (RulesetStatus::FullyEnforced, None) => Some(
                "there is no filter of system calls for this processor: programs are confined to their paths alone",
            ),
            (RulesetStatus::FullyEnforced, Some(_)) => None,
        }
    })
}

/// System calls that are refused with EPERM: those that look into other processes, change mounts, namespaces, clocks or the
/// kernel, or go around the other rules.
const REFUSED: &[i64] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_open_by_handle_at,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_syslog,
];

/// The filter for this processor; none where there is none for it.
fn filter() -> Option<&'static BpfProgram> {
    static FILTER: OnceLock<Option<BpfProgram>> = OnceLock::new();
    FILTER.get_or_init(make_filter).as_ref()
}

fn make_filter() -> Option<BpfProgram> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    // A user namespace gives all capabilities within it; a terminal that is written to runs what it then reads.
    rules.insert(libc::SYS_clone, vec![of_argument(0, SeccompCmpOp::MaskedEq(NEW_USER), NEW_USER)?]);
    rules.insert(libc::SYS_ioctl, vec![of_argument(1, SeccompCmpOp::Eq, libc::TIOCSTI)?]);
    let arch = std::env::consts::ARCH.try_into().ok()?;
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    SeccompFilter::new(rules, SeccompAction::Allow, refused, arch).ok()?.try_into().ok()
}

const NEW_USER: u64 = libc::CLONE_NEWUSER as u64;

fn of_argument(index: u8, operator: SeccompCmpOp, value: u64) -> Option<SeccompRule> {
    let condition = SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value).ok()?;
    SeccompRule::new(vec![condition]).ok()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use futures_lite::future::block_on;

    use super::*;
    use crate::{Running, capture, exit_code};

    /// A folder of a test, removed with it.
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

    /// What a shell command says, and how it ends, where it may change the folder or not.
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
    fn readable_paths_are_read_and_run_and_not_changed() {
        let scratch = Scratch::new("readable");
        let secret = scratch.0.join("secret");
        assert_eq!(run(&scratch, true, &[&secret], "cat $SECRET"), (0, "s".to_owned()));
        if has_landlock() {
            assert_ne!(run(&scratch, true, &[&secret], "echo x > $SECRET").0, 0);
        }
    }

    #[test]
    fn calls_that_look_into_others_or_change_the_machine_are_refused() {
        let scratch = Scratch::new("calls");
        if filter().is_none() {
            return;
        }
        for script in ["unshare --user true", "unshare --mount true", "mount -t tmpfs none .", "chroot . true"] {
            let (code, said) = run(&scratch, true, &[], script);
            assert!(code != 0 && said.contains("permi"), "{script}: {code} {said}");
        }
        if missing().is_none() {
            let (code, said) = run(&scratch, true, &[], "kill -0 $PPID");
            assert!(code != 0 && said.contains("not permitted"), "{code} {said}");
        }
        // The thread that was confined is gone; this process is as it was.
        assert!(std::fs::read("/etc/passwd").is_ok() && std::fs::read(scratch.0.join("secret")).is_ok());
    }
}
