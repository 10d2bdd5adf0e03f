//! A running program and the process group it leads.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use async_io::Async;
use blocking::unblock;
pub use rustix::process::Signal;
use rustix::process::{Pid, PidfdFlags, getpgid, kill_process, kill_process_group, pidfd_open};

use crate::confine::Confinement;
use crate::guardian;
use crate::limits::{self, Lowered};

/// A started program with our ends of its pipes.
#[derive(Debug)]
pub struct Running {
    /// The process group of the program.
    pub group: Group,
    /// The write end of its standard input, if [`Running::start`] was given a pipe for it.
    pub stdin: Option<Async<ChildStdin>>,
    /// The read end of its standard output.
    pub stdout: Option<Async<ChildStdout>>,
    /// The read end of its standard error.
    pub stderr: Option<Async<ChildStderr>>,
}

impl Running {
    /// Starts a program in its own process group, with pipes for its output. With `folder`, it runs in that open
    /// folder, even if the folder's path leads elsewhere by now. With `confinement`, it reaches only what the
    /// [`Confinement`] allows.
    ///
    /// # Errors
    /// Returns the system's error, or why the program could not be confined.
    pub async fn start(
        mut command: Command,
        stdin: Stdio,
        folder: Option<OwnedFd>,
        confinement: Option<Confinement>,
    ) -> io::Result<Self> {
        command.env_remove(limits::OPEN_FILES);
        command.process_group(0).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut group = unblock(move || {
            if let Some(folder) = &folder {
                command.current_dir(format!("/proc/self/fd/{}", folder.as_raw_fd()));
            }
            if let Some(confinement) = &confinement {
                confinement.enter(&mut command)?;
            }
            let lowered = Lowered::now();
            let started = command.spawn();
            drop(lowered);
            let started = started.and_then(Group::new);
            if let Ok(group) = &started {
                limits::restore(group.leader);
            }
            // Keep the folder open until the program has entered it, even if the caller dropped the future.
            drop(folder);
            started
        })
        .await?;
        let child = group.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        let pipes = child.as_mut().map(|child| (child.stdin.take(), child.stdout.take(), child.stderr.take()));
        let (stdin, stdout, stderr) = pipes.unwrap_or_default();
        let stdin = stdin.map(Async::new).transpose()?;
        let (stdout, stderr) = (stdout.map(Async::new).transpose()?, stderr.map(Async::new).transpose()?);
        Ok(Self { group, stdin, stdout, stderr })
    }
}

/// A process group led by the program. Dropping it kills what is left of it.
#[derive(Debug)]
pub struct Group {
    leader: Pid,
    end: Async<OwnedFd>,
    // None once reaped: from then on the PID may belong to another process.
    child: Mutex<Option<Child>>,
    status: OnceLock<ExitStatus>,
}

impl Group {
    fn new(mut child: Child) -> io::Result<Self> {
        let opened = number(&child).and_then(|leader| {
            let end = pidfd_open(leader, PidfdFlags::NONBLOCK)?;
            Ok((leader, Async::new_nonblocking(end)?))
        });
        match opened {
            Ok((leader, end)) => {
                guardian::runs(leader);
                Ok(Self { leader, end, child: Mutex::new(Some(child)), status: OnceLock::new() })
            }
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    /// Returns the program's PID, which is also the number of its group.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.leader.as_raw_nonzero().get()
    }

    /// Waits until the program has ended. Returns at once if it was reaped already.
    ///
    /// # Errors
    /// Returns the system's error if waiting fails.
    pub async fn ended(&self) -> io::Result<()> {
        if self.status.get().is_some() { Ok(()) } else { self.end.readable().await }
    }

    /// Returns how the program ended, once it was reaped.
    #[must_use]
    pub fn status(&self) -> Option<ExitStatus> {
        self.status.get().copied()
    }

    /// Sends the signal with this number, 1 to 64, to the program only. Blocks.
    ///
    /// # Errors
    /// Returns `ESRCH` if the program was reaped, or the system's error.
    pub fn signal(&self, number: i32) -> io::Result<()> {
        let child = self.lock();
        child.as_ref().ok_or(rustix::io::Errno::SRCH)?;
        if let Some(signal) = Signal::from_named_raw(number) {
            return Ok(kill_process(self.leader, signal)?);
        }
        // There is no safe call for real-time signals, so the shell sends them.
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "kill -\"$1\" \"$2\"", "sh", &number.to_string(), &self.id().to_string()]);
        let told = shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output()?;
        if told.status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!("the shell could not send it: {}", String::from_utf8_lossy(&told.stderr).trim())))
    }

    /// Sends a signal to the program and its whole group.
    ///
    /// # Errors
    /// Returns `ESRCH` if the program was reaped, or the system's error.
    pub fn signal_all(&self, signal: Signal) -> io::Result<()> {
        let child = self.lock();
        child.as_ref().ok_or(rustix::io::Errno::SRCH)?;
        self.send(signal)
    }

    /// Signals the group, and the program itself if it has left the group. The program must not be reaped yet: until
    /// then the PID is its own.
    fn send(&self, signal: Signal) -> io::Result<()> {
        match (kill_process_group(self.leader, signal), getpgid(Some(self.leader))) {
            (Ok(()), Ok(group)) if group == self.leader => Ok(()),
            (to_group, _) => Ok(kill_process(self.leader, signal).or(to_group)?),
        }
    }

    /// Kills what is left of the group, waits for the program to end and returns how it ended.
    ///
    /// # Errors
    /// Returns the system's error if killing or waiting fails.
    pub async fn reap(&self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status.get() {
            return Ok(*status);
        }
        // A group in which only its zombie leader is left accepts signals, without effect.
        self.signal_all(Signal::KILL).or_else(beyond)?;
        self.ended().await?;
        let leader = self.leader;
        unblock(move || guardian::ended(leader)).await;
        let mut child = self.lock();
        let Some(ended) = child.as_mut() else {
            return self.status.get().copied().ok_or_else(|| io::Error::other("reaped without a status"));
        };
        let status = ended.wait()?;
        *child = None;
        Ok(*self.status.get_or_init(|| status))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Child>> {
        // A poisoned lock is safe to use: the only change ever made under it is taking the child out.
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(mut child) = self.lock().take() else { return };
        // A failure is ignored: the program may have ended already.
        self.send(Signal::KILL).unwrap_or_default();
        let leader = self.leader;
        // After SIGKILL this wait is short, but it blocks.
        unblock(move || {
            guardian::ended(leader);
            child.wait()
        })
        .detach();
    }
}

fn number(child: &Child) -> io::Result<Pid> {
    let number = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    number.ok_or_else(|| io::Error::other("the system gave a number that no process has"))
}

/// Ignores the error if the program is gone or now runs as another user: it takes no signal, but its end can still be
/// waited for.
fn beyond(error: io::Error) -> io::Result<()> {
    let errno = rustix::io::Errno::from_io_error(&error);
    if matches!(errno, Some(rustix::io::Errno::SRCH | rustix::io::Errno::PERM)) { Ok(()) } else { Err(error) }
}

/// Returns the exit code, or -n if signal n ended the program.
#[must_use]
pub fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| -status.signal().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::AsyncReadExt;
    use futures_lite::future::block_on;

    fn start(script: &str) -> Running {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        block_on(Running::start(command, Stdio::null(), None, None)).unwrap()
    }

    fn lives(process: i32) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        !(status.is_empty() || status.contains(") Z "))
    }

    fn wait_until_dead(process: i32) {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while lives(process) {
            assert!(std::time::Instant::now() < end, "{process} is still running");
            std::thread::yield_now();
        }
    }

    /// Reads the PID of a background process, which the script prints.
    fn printed(running: &mut Running) -> i32 {
        let mut bytes = [0; 32];
        let length = block_on(running.stdout.as_mut().unwrap().read(&mut bytes)).unwrap();
        String::from_utf8_lossy(&bytes[..length]).trim().parse().unwrap()
    }

    #[test]
    fn an_exit_code_and_a_signal_are_told_apart() {
        for (script, code) in [("exit 7", 7), ("kill -9 $$", -9), ("true", 0)] {
            let running = start(script);
            block_on(running.group.ended()).unwrap();
            assert_eq!(exit_code(block_on(running.group.reap()).unwrap()), code);
            block_on(running.group.ended()).unwrap();
            assert_eq!(exit_code(block_on(running.group.reap()).unwrap()), code, "the second time");
            assert!(running.group.signal(15).is_err() && running.group.signal_all(Signal::TERM).is_err());
        }
    }

    #[test]
    fn every_number_reaches_the_program() {
        // Not HUP, INT and QUIT: the parent of the tests may have set them to be ignored.
        for number in [9, 10, 15, 31, 34, 50, 64] {
            let running = start("sleep 1000");
            running.group.signal(number).unwrap();
            block_on(running.group.ended()).unwrap();
            assert_eq!(exit_code(block_on(running.group.reap()).unwrap()), -number);
        }
        assert!(start("sleep 1000").group.signal(65).is_err());
    }

    #[test]
    fn reaping_kills_what_the_program_left_behind() {
        let mut running = start("sleep 1000 >/dev/null & echo $!");
        let child = printed(&mut running);
        block_on(running.group.ended()).unwrap();
        assert!(lives(child));
        assert_eq!(exit_code(block_on(running.group.reap()).unwrap()), 0);
        wait_until_dead(child);
    }

    #[test]
    fn a_dropped_group_dies_with_its_children_and_leaves_no_zombie() {
        let mut running = start("trap '' TERM; sleep 1000 & echo $!; wait");
        let (leader, child) = (running.group.id(), printed(&mut running));
        assert!(lives(leader) && lives(child));
        drop(running);
        wait_until_dead(child);
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while std::path::Path::new(&format!("/proc/{leader}")).exists() {
            assert!(std::time::Instant::now() < end, "{leader} is a zombie");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_program_runs_in_the_open_folder_wherever_that_is_now() {
        let scratch = std::env::temp_dir().join(format!("theater-child-process-{}", std::process::id()));
        std::fs::create_dir_all(scratch.join("one")).unwrap();
        let folder = std::fs::File::open(scratch.join("one")).unwrap();
        std::fs::rename(scratch.join("one"), scratch.join("other")).unwrap();
        let mut running =
            block_on(Running::start(Command::new("/bin/pwd"), Stdio::null(), Some(folder.into()), None)).unwrap();
        let mut text = String::new();
        block_on(running.stdout.as_mut().unwrap().read_to_string(&mut text)).unwrap();
        std::fs::remove_dir_all(&scratch).unwrap();
        assert!(text.trim().ends_with("/other"), "{text}");
    }

    #[test]
    fn a_program_that_leaves_its_group_is_killed_all_the_same() {
        let script =
            "import os, time\nos.setpgid(0, os.getpgid(os.getppid()))\nprint('gone', flush=True)\ntime.sleep(1000)";
        let mut command = Command::new("/usr/bin/env");
        command.args(["python3", "-c", script]);
        block_on(async {
            let mut running = Running::start(command, Stdio::null(), None, None).await.unwrap();
            let mut line = [0; 5];
            running.stdout.as_mut().unwrap().read_exact(&mut line).await.unwrap();
            assert_eq!(exit_code(running.group.reap().await.unwrap()), -9);
        });
    }

    #[test]
    fn a_program_that_cannot_start_says_why() {
        let error = block_on(Running::start(Command::new("/nowhere/program"), Stdio::null(), None, None)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
