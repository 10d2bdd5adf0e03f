//! One running program: its pipes and its end.

use std::io;
use std::pin::Pin;
use std::process::{ChildStderr, ChildStdin, ChildStdout};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_io::Async;
use futures_lite::future::{or, zip};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use theater_child_process::{Group, Running, Signal, Stdio, exit_code};
use theater_plugin_api::{Bytes, CallError, Host, Level};

use crate::config::LaunchSpec;
use crate::cut::{Cutter, OutputCutMode, OutputPiece, OutputQueue};
use crate::error::Error;
use crate::theater::simple::process_handlers::{handle_stderr, handle_stdout};

/// The exit code of a program that was lost when the runtime ended. Its real end is unknown; it is reported as killed.
pub const LOST: i32 = -9;

/// How long to wait in total, after the program has ended, for a pipe that another process still holds open.
const SILENCE: Duration = Duration::from_secs(2);
/// How often a blocked write checks whether the program is blocked on its own output.
const STUCK: Duration = Duration::from_millis(500);

/// A started program.
#[derive(Debug)]
pub struct Program {
    pub group: Group,
    // None once closed.
    stdin: Mutex<Option<Arc<Async<ChildStdin>>>>,
    /// How many of its output streams are not being read, because their buffer for the actor is full.
    paused: AtomicU32,
}

/// The output pipes of a program, and how their output is cut.
#[derive(Debug)]
pub struct Pipes {
    stdout: Option<Async<ChildStdout>>,
    stderr: Option<Async<ChildStderr>>,
    modes: [OutputCutMode; 2],
}

impl Program {
    pub async fn start(start: LaunchSpec) -> Result<(Self, Pipes), Error> {
        let LaunchSpec { command, folder, confinement, stdout: out, stderr: err } = start;
        let program = command.get_program().to_string_lossy().into_owned();
        let started = Running::start(command, Stdio::piped(), Some(folder), confinement).await;
        let Running { group, stdin, stdout, stderr } = started.map_err(|source| Error::Start { program, source })?;
        let program = Self { group, stdin: Mutex::new(stdin.map(Arc::new)), paused: AtomicU32::new(0) };
        Ok((program, Pipes { stdout, stderr, modes: [out, err] }))
    }

    /// Writes all of `data` to standard input, waiting for room in the pipe. Fails if the program may be blocked on its
    /// own output: the actor waits here and takes none, so the program would never read on.
    pub async fn write(&self, host: &Host, id: u64, data: &[u8]) -> Result<u32, Error> {
        let stdin = self.input().clone().ok_or(Error::Closed(id))?;
        let mut written = 0;
        while let Some(rest) = data.get(written..).filter(|rest| !rest.is_empty()) {
            let stuck = async {
                loop {
                    host.sleep(STUCK).await;
                    if self.paused.load(Ordering::Relaxed) > 0 {
                        return Err(io::ErrorKind::WouldBlock.into());
                    }
                }
            };
            match or(async { (&*stdin).write(rest).await }, stuck).await {
                Ok(length) => written += length,
                // No one reads the pipe any more: the program has ended or closed it.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Err(Error::Closed(id)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(Error::Stuck { id, written, of: data.len() });
                }
                Err(source) => return Err(Error::System { id, source }),
            }
        }
        Ok(u32::try_from(written).unwrap_or(u32::MAX))
    }

    pub fn close_input(&self, id: u64) -> Result<(), Error> {
        self.input().take().map(drop).ok_or(Error::Closed(id))
    }

    /// Sends a signal to the program only. Blocks.
    pub fn signal(&self, id: u64, number: i32) -> Result<(), Error> {
        self.group.signal(number).map_err(|source| failed(id, source))
    }

    pub fn signal_all(&self, id: u64, signal: Signal) -> Result<(), Error> {
        self.group.signal_all(signal).map_err(|source| failed(id, source))
    }

    fn input(&self) -> std::sync::MutexGuard<'_, Option<Arc<Async<ChildStdin>>>> {
        self.stdin.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(id: u64, source: io::Error) -> Error {
    if source.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) {
        Error::Ended(id)
    } else {
        Error::System { id, source }
    }
}

/// Delivers a program's output to the actor until there is no more; returns the exit code.
pub async fn run_to_end(
    host: &Host,
    id: u64,
    program: &Program,
    pipes: Pipes,
    timeout: Option<u64>,
    most: usize,
) -> i32 {
    let Pipes { stdout, stderr, modes: [out, err] } = pipes;
    let ended = end(host, id, program, timeout);
    let (out, err) = (
        Stream { host, id, program, mode: out, most, errors: false },
        Stream { host, id, program, mode: err, most, errors: true },
    );
    let (code, _) = zip(ended, zip(out.forward(stdout), err.forward(stderr))).await;
    code
}

/// Waits for the program to end, or kills it at the timeout; then kills what is left of its group.
async fn end(host: &Host, id: u64, program: &Program, timeout: Option<u64>) -> i32 {
    let late = async {
        match timeout {
            Some(seconds) => host.sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
        host.log(Level::Info, &format!("program {id} reached its execution-timeout and is killed"));
    };
    let ended = async {
        if let Err(error) = program.group.ended().await {
            host.log(Level::Error, &format!("cannot wait for program {id} to end: {error}"));
        }
    };
    or(ended, late).await;
    match program.group.reap().await {
        Ok(status) => exit_code(status),
        Err(error) => {
            host.log(Level::Error, &format!("program {id} could not be ended: {error}"));
            LOST
        }
    }
}

/// A call to the actor with a piece of output.
type DeliveryFuture<'a> = Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

/// Which of the two operations of [`Stream::bring`] has finished.
enum StreamEvent {
    Read(io::Result<usize>),
    Delivered(bool),
}

/// Counts an open stream as not being read while this value lives, because its buffer for the actor is full.
struct PausedGuard<'a>(Option<&'a AtomicU32>);

impl<'a> PausedGuard<'a> {
    fn new(count: &'a AtomicU32, open: bool) -> Self {
        if open {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Self(open.then_some(count))
    }
}

impl Drop for PausedGuard<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.0 {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Standard output or standard error.
struct Stream<'a> {
    host: &'a Host,
    id: u64,
    program: &'a Program,
    mode: OutputCutMode,
    /// The maximum number of bytes to buffer for the actor.
    most: usize,
    errors: bool,
}

impl Stream<'_> {
    /// Delivers the stream to the actor. While the actor is busy, reading continues until `most` bytes are buffered;
    /// then it pauses (backpressure).
    async fn forward(&self, pipe: Option<impl AsyncRead + Unpin>) {
        let Some(mut pipe) = pipe else { return };
        let mut cutter = Cutter::new(self.mode);
        let mut buffer = vec![0; cutter.max_push()];
        let (mut waiting, mut left, mut open) = (OutputQueue::default(), SILENCE, true);
        let mut delivery: Option<DeliveryFuture<'_>> = None;
        loop {
            if delivery.is_none() {
                delivery = waiting.pop().map(|piece| Box::pin(self.deliver(piece)) as DeliveryFuture<'_>);
            }
            let reads = open && waiting.bytes() < self.most;
            let read = async { StreamEvent::Read(self.read(&mut pipe, &mut buffer, &mut left).await) };
            let step = match &mut delivery {
                None if !open => return,
                None => read.await,
                Some(delivery) if reads => or(async { StreamEvent::Delivered(delivery.await) }, read).await,
                Some(delivery) => {
                    drop(read);
                    let _full = PausedGuard::new(&self.program.paused, open);
                    StreamEvent::Delivered(delivery.await)
                }
            };
            match step {
                StreamEvent::Delivered(true) => delivery = None,
                StreamEvent::Delivered(false) => return,
                StreamEvent::Read(Ok(0)) => {
                    open = false;
                    waiting.push(cutter.finish());
                }
                StreamEvent::Read(Ok(length)) => {
                    self.host.count("output_bytes", length as f64);
                    waiting.push(cutter.push(buffer.get(..length).unwrap_or_default()));
                }
                StreamEvent::Read(Err(error)) => {
                    self.host.log(Level::Error, &format!("{} cannot be read: {error}", self.name()));
                    open = false;
                    waiting.push(cutter.finish());
                }
            }
        }
    }

    /// Reads more output. Returns 0 at the end of the stream, or when the program has ended and another process has
    /// held the pipe open for too long.
    async fn read(
        &self,
        pipe: &mut (impl AsyncRead + Unpin),
        buffer: &mut [u8],
        left: &mut Duration,
    ) -> io::Result<usize> {
        let ended = self.program.group.status().is_some();
        let (since, patience) = (Instant::now(), *left);
        let silence = async {
            self.program.group.ended().await?;
            self.host.sleep(patience).await;
            self.host.log(Level::Warn, &format!("{} is held open by a process that left its group", self.name()));
            Ok(0)
        };
        let read = or(pipe.read(buffer), silence).await;
        if ended {
            *left = left.saturating_sub(since.elapsed());
        }
        read
    }

    /// Delivers a piece; returns false if the actor accepts no more calls.
    async fn deliver(&self, piece: OutputPiece) -> bool {
        let name = self.name();
        let bytes = match piece {
            OutputPiece::Deliver(bytes) => bytes,
            OutputPiece::Record(line) => {
                self.host.count("not_json", 1.0);
                self.host.log(Level::Warn, &format!("a line of the {name} is not JSON: {}", excerpt(&line)));
                record_note(self.host, &format!("{name}, no JSON"), &line);
                return true;
            }
        };
        let bytes = Bytes::from(bytes);
        let brought = if self.errors {
            handle_stderr(self.host, &name, &self.id, &bytes).await
        } else {
            handle_stdout(self.host, &name, &self.id, &bytes).await
        };
        match brought {
            Err(CallError::Absent(_)) => {
                record_note(self.host, &name, &bytes);
                true
            }
            Err(CallError::Gone(_)) => false,
            // The core records the call and its result.
            Ok(()) | Err(_) => true,
        }
    }

    fn name(&self) -> String {
        format!("{} of program {}", if self.errors { "stderr" } else { "stdout" }, self.id)
    }
}

/// Records output or an exit that is not delivered to an export.
pub fn record_note(host: &Host, what: &str, data: &[u8]) {
    if let Err(error) = host.note(what, data) {
        host.log(Level::Error, &format!("{what} could not be recorded: {error}"));
    }
}

fn excerpt(line: &[u8]) -> String {
    const MOST: usize = 200;
    let text = String::from_utf8_lossy(line.get(..MOST).unwrap_or(line));
    let more = if line.len() > MOST { "..." } else { "" };
    format!("{text:?}{more}")
}

#[cfg(test)]
mod tests {
    use super::excerpt;

    #[test]
    fn a_long_line_is_shown_with_its_beginning() {
        assert_eq!(excerpt(b"a\"b"), r#""a\"b""#);
        assert_eq!(excerpt(&[b'x'; 200]), format!("\"{}\"", "x".repeat(200)));
        assert_eq!(excerpt(&[b'x'; 201]), format!("\"{}\"...", "x".repeat(200)));
    }
}
