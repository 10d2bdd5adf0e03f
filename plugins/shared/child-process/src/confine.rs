//! Confines programs. Landlock (`landlock(7)`) limits them to the listed paths and to read access to the system's own
//! paths; seccomp (`seccomp(2)`) refuses system calls that change the machine, inspect other processes or reach
//! services over Unix sockets.
//!
//! Both apply to the process that enables them and to all processes it starts. The child process enables them itself
//! before exec, and no thread of this process does: if one were in the same Landlock domain, Landlock would let the
//! program read the memory of this process and kill it.
//!
//! Not restricted: the network; the permissions and times of files of the same user, if something is writable
//! (`landlock(7)`, "Current limitations").

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use crate::before_exec;

/// The Landlock version whose access rights the rules use (Linux 6.15). Rights that the kernel lacks are left out.
const RIGHTS: ABI = ABI::V7;
/// System paths that programs need to run at all: code, libraries, and the files for looking up names, users, time and
/// certificates.
const SYSTEM: [&str; 27] = [
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
    "/etc/gitconfig",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
];
/// Stateless devices that may be read and written.
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// The paths that a confined program may reach in addition to the system's.
#[derive(Debug)]
pub struct Confinement {
    /// Open folders, each with a flag: whether the program may change what is in it.
    pub folders: Vec<(OwnedFd, bool)>,
    /// Folders and files that the program may read and execute. A path with a symbolic link is refused: the program
    /// could replace anything it can write with a link.
    pub readable: Vec<PathBuf>,
}

impl Confinement {
    /// Makes the child process confine itself, before exec, to these paths, the program's file and the system's paths.
    pub(crate) fn enter(&self, command: &mut Command) -> io::Result<()> {
        let rules = self.rules(Path::new(command.get_program()))?;
        let filters = filters(self.folders.iter().any(|(_, is_writable)| *is_writable));
        let kept = kept_capabilities()?;
        let mut rules = Some(rules);
        // Only system calls are allowed here (see `before_exec::run`): an error message would allocate.
        before_exec::run(command, move || {
            let refused = |_| io::Error::last_os_error();
            let rules = rules.take().ok_or(rustix::io::Errno::INVAL)?;
            rules.restrict_self().map_err(|_| io::Error::last_os_error())?;
            set_capabilities(None, kept)?;
            filters.iter().try_for_each(|filter| seccompiler::apply_filter(filter).map_err(refused))
        });
        Ok(())
    }

    fn rules(&self, program: &Path) -> io::Result<RulesetCreated> {
        let failed = |error: RulesetError| io::Error::other(format!("it could not be confined: {error}"));
        let (read, all) = (AccessFs::from_read(RIGHTS), AccessFs::from_all(RIGHTS));
        let mut rules = ruleset()
            .and_then(|rules| rules.add_rules(path_beneath_rules(SYSTEM, read)))
            .and_then(|rules| rules.add_rules(path_beneath_rules(DEVICES, AccessFs::ReadFile | AccessFs::WriteFile)))
            .map_err(failed)?;
        for (folder, is_writable) in &self.folders {
            let access = if *is_writable { all } else { read };
            rules = rules.add_rule(PathBeneath::new(folder.as_fd(), access)).map_err(failed)?;
        }
        // `open` follows no links, so a program that is reached through a link gets no rule here. It runs only if other
        // rules cover its target.
        let program = [program].into_iter().filter_map(|path| open(path).ok().filter(|(_, is_file)| *is_file));
        let mut paths: Vec<_> = program.collect();
        for path in &self.readable {
            let named = |error| io::Error::other(format!("readable_paths: {}: {error}", path.display()));
            paths.push(open(path).map_err(named)?);
        }
        for (path, is_file) in paths {
            let access = if is_file { AccessFs::Execute | AccessFs::ReadFile } else { read };
            rules = rules.add_rule(PathBeneath::new(path, access)).map_err(failed)?;
        }
        Ok(rules)
    }
}

/// Opens a path without following any symbolic link in it; returns also whether it is a regular file.
fn open(path: &Path) -> io::Result<(OwnedFd, bool)> {
    let found = openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::NO_SYMLINKS)?;
    let kind = FileType::from_raw_mode(fstat(&found)?.st_mode);
    Ok((found, kind == FileType::RegularFile))
}

/// The capabilities that programs run by root keep. With more, `/proc` would show them any process, and they would
/// count as the owner of any file.
const KEPT: CapabilitySet = CapabilitySet::DAC_OVERRIDE.union(CapabilitySet::NET_BIND_SERVICE);

/// Returns the capabilities of this process that a program keeps. Exec does not give it more: Landlock and seccomp
/// forbid new privileges.
fn kept_capabilities() -> io::Result<CapabilitySets> {
    let CapabilitySets { effective, permitted, inheritable } = capabilities(None)?;
    let [effective, permitted, inheritable] = [effective, permitted, inheritable].map(|set| set & KEPT);
    Ok(CapabilitySets { effective, permitted, inheritable })
}

/// Creates a ruleset. It denies everything that no rule allows: all access to files and folders, signals to processes
/// outside the domain, and their abstract Unix sockets.
fn ruleset() -> Result<RulesetCreated, RulesetError> {
    let rules = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
    rules.handle_access(AccessFs::from_all(RIGHTS))?.scope(Scope::from_all(RIGHTS))?.create()
}

/// Returns a sentence about the protections that this machine lacks, or `None` if it has all. The first call blocks.
#[must_use]
pub fn missing() -> Option<&'static str> {
    static MISSING: OnceLock<Option<&str>> = OnceLock::new();
    *MISSING.get_or_init(|| {
        // On a thread that ends right after: a thread cannot remove its restrictions.
        let asked = std::thread::Builder::new().spawn(|| ruleset().and_then(RulesetCreated::restrict_self));
        let status = asked.ok().and_then(|asked| asked.join().ok()).and_then(Result::ok).map(|status| status.ruleset);
        match (status, filters(true).is_empty()) {
            (None | Some(RulesetStatus::NotEnforced), _) => Some(
                "this kernel has no Landlock (it comes with Linux 5.13 and has to be in the list of security modules): \
                 programs are NOT confined to their paths",
            ),
            (Some(RulesetStatus::PartiallyEnforced), _) => Some(
                "this kernel has an older Landlock: programs are confined to their paths, but may send signals to other \
                 processes of the same user (before Linux 6.12) and empty files elsewhere (before Linux 6.2)",
            ),
            (Some(RulesetStatus::FullyEnforced), true) => {
                Some("there is no system call filter for this processor: programs are confined to their paths only")
            }
            (Some(RulesetStatus::FullyEnforced), false) => None,
        }
    })
}

/// System calls that are refused with EPERM: they inspect other processes, change owners, mounts, namespaces, clocks or
/// the kernel, or bypass the other rules.
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
    libc::SYS_kexec_file_load,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
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
    libc::SYS_inotify_add_watch,
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    SYS_QUOTACTL_FD,
    SYS_SETXATTRAT,
    SYS_REMOVEXATTRAT,
    SYS_OPEN_TREE_ATTR,
    SYS_FILE_SETATTR,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
];

/// System call numbers that `libc` lacks; they are the same on all processors (`include/uapi/asm-generic/unistd.h` in
/// Linux).
const SYS_QUOTACTL_FD: i64 = 443;
const SYS_SETXATTRAT: i64 = 463;
const SYS_REMOVEXATTRAT: i64 = 466;
const SYS_OPEN_TREE_ATTR: i64 = 467;
const SYS_FILE_SETATTR: i64 = 469;

/// System calls that are allowed only for the calling process, each with the index of the argument that names the
/// process: 0 means the caller.
const OF_PROCESS: [(i64, u8); 7] = [
    (libc::SYS_prlimit64, 0),
    (libc::SYS_sched_setaffinity, 0),
    (libc::SYS_sched_setattr, 0),
    (libc::SYS_sched_setparam, 0),
    (libc::SYS_sched_setscheduler, 0),
    (libc::SYS_setpriority, 1),
    (libc::SYS_ioprio_set, 1),
];

/// `ioctl(2)` requests that are refused: they insert input into a terminal, or change attributes of a file that is open
/// for reading (`include/uapi/linux/fs.h`).
const REQUESTS: [u64; 5] = [libc::TIOCSTI, 0x4008_6602, 0x4004_6602, 0x401c_5820, 0x4080_6685];

/// System calls that are also refused if no folder is writable: Landlock does not cover permissions and times.
const CHANGES: &[i64] = &[
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchmodat2,
    libc::SYS_utimensat,
    libc::SYS_truncate,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utimes,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_futimesat,
];

/// Returns the filters for this processor, with [`CHANGES`] if nothing may be changed; empty if the processor is not
/// supported.
fn filters(may_change: bool) -> &'static [BpfProgram] {
    static FILTERS: [OnceLock<Vec<BpfProgram>>; 2] = [OnceLock::new(), OnceLock::new()];
    let [changing, reading] = &FILTERS;
    let filters = if may_change { changing } else { reading };
    filters.get_or_init(|| make_filters(may_change).unwrap_or_default())
}

fn make_filters(may_change: bool) -> Option<Vec<BpfProgram>> {
    let changes = if may_change { &[] } else { CHANGES };
    let mut refused: BTreeMap<i64, Vec<SeccompRule>> =
        REFUSED.iter().chain(changes).map(|call| (*call, Vec::new())).collect();
    // A user namespace would give the program all capabilities inside it.
    refused.insert(libc::SYS_clone, vec![of_argument(0, SeccompCmpOp::MaskedEq(NEW_USER), NEW_USER)?]);
    let requests = REQUESTS.iter().map(|request| of_argument(1, SeccompCmpOp::Eq, *request));
    refused.insert(libc::SYS_ioctl, requests.collect::<Option<_>>()?);
    for (call, argument) in OF_PROCESS {
        refused.insert(call, vec![of_argument(argument, SeccompCmpOp::Ne, 0)?]);
    }
    // Landlock does not restrict Unix sockets that are bound to a file. A datagram socket of a pair can send to other
    // sockets too, and a raw Unix socket is a datagram socket.
    let unix = of_argument(0, SeccompCmpOp::Eq, UNIX)?;
    refused.insert(libc::SYS_socket, vec![unix]);
    let kind = |kind| {
        let conditions = [
            SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, UNIX).ok()?,
            SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(0xf), kind).ok()?,
        ];
        SeccompRule::new(conditions.into()).ok()
    };
    let kinds = [libc::SOCK_DGRAM, libc::SOCK_RAW].map(|number| kind(number as u64));
    refused.insert(libc::SYS_socketpair, kinds.into_iter().collect::<Option<_>>()?);
    // The flags of `clone3` are in memory, which a filter cannot read. With ENOSYS, programs fall back to `clone`.
    let absent = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let filters = [(refused, libc::EPERM), (absent, libc::ENOSYS)];
    filters.into_iter().map(|(calls, errno)| make_filter(calls, errno)).collect()
}

fn make_filter(mut calls: BTreeMap<i64, Vec<SeccompRule>>, errno: i32) -> Option<BpfProgram> {
    if cfg!(target_arch = "x86_64") {
        // Refuse every number of the x32 ABI; the numbers that only x32 has start at 512.
        calls.extend((0..X32_END).map(|call| (call | X32, Vec::new())));
    }
    let arch = std::env::consts::ARCH.try_into().ok()?;
    SeccompFilter::new(calls, SeccompAction::Allow, SeccompAction::Errno(errno as u32), arch).ok()?.try_into().ok()
}

const X32: i64 = 0x4000_0000;
const X32_END: i64 = 548;
const UNIX: u64 = libc::AF_UNIX as u64;
const NEW_USER: u64 = libc::CLONE_NEWUSER as u64;

fn of_argument(index: u8, operator: SeccompCmpOp, value: u64) -> Option<SeccompRule> {
    let condition = SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value).ok()?;
    SeccompRule::new(vec![condition]).ok()
}

#[cfg(test)]
mod tests {
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
        for script in ["unshare --user true", "unshare --mount true", "mount -t tmpfs none .", "chroot . true", python]
        {
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
}
