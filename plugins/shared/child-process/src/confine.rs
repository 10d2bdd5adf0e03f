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

use crate::before_exec;
use crate::syscall_filter::filters;

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

#[cfg(test)]
mod tests;
