//! The seccomp filters of confined programs (`seccomp(2)`): which system calls are refused, and with which error.
//!
//! There are two filters: one refuses calls with EPERM, the other answers `clone3` with ENOSYS. A filter sees only the
//! numbers in a call's registers, so it decides by the call and its integer arguments, never by a path.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

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
pub(crate) fn filters(may_change: bool) -> &'static [BpfProgram] {
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
