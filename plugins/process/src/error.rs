//! The errors, with messages for the actor and the operator.

use std::io;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The config does not allow the program.
    #[error(
        "the program {0:?} is not allowed: in the handler process, config = {{ allowed_programs = [{0:?}] }} allows it, as \
         far as the parent's config does"
    )]
    Program(String),
    /// The program was not found when the actor started.
    #[error(
        "the program {0:?} is allowed but was not found when the actor started: install it, then start the actor again"
    )]
    NoProgram(String),
    /// The config does not allow the folder.
    #[error(
        "the folder {0:?} is not allowed: in the handler process, config = {{ allowed_paths = [{0:?}] }} allows it, as far \
         as the parent's config does"
    )]
    Path(String),
    /// The config does not allow the variable.
    #[error(
        "the variable {0:?} is not allowed: in the handler process, config = {{ allowed_env = [{0:?}] }} allows it, as far as \
         the parent's config does; a variable can decide what a program does"
    )]
    Variable(String),
    /// The config has no folder at all.
    #[error(
        "a program needs a folder to run in: in the handler process, config = {{ allowed_paths = [\"...\"] }} allows one, as \
         far as the parent's config does"
    )]
    NoPath,
    /// The folder could not be opened.
    #[error("the folder {path:?} could not be opened: {source}")]
    Folder {
        /// The folder.
        path: String,
        /// The system's error.
        source: io::Error,
    },
    /// A number in the request is out of bounds.
    #[error("{what} = {found} is out of bounds: {bounds}")]
    Bounds {
        /// The field.
        what: &'static str,
        /// The requested value.
        found: u64,
        /// The possible values.
        bounds: String,
    },
    /// The mode `chunked` has no size.
    #[error("the mode chunked needs chunk-size")]
    NoChunkSize,
    /// A string cannot be passed to a program.
    #[error("{0} has a NUL byte, or a variable name that is empty or contains =: no program can be given that")]
    Text(&'static str),
    /// The maximum number of programs is running.
    #[error(
        "{most} programs are running, which is the limit: wait until one ends; in the handler process, config = {{ \
         max_processes = {} }} allows one more, as far as the parent's config does", most.saturating_add(1)
    )]
    TooMany {
        /// `max_processes` of the config.
        most: u64,
    },
    /// The program could not be started.
    #[error("{program} could not be started: {source}")]
    Start {
        /// The file of the program.
        program: String,
        /// The system's error.
        source: io::Error,
    },
    /// This actor has no program with this id.
    #[error("this actor has no program {0}: use an id that os-spawn returned")]
    Unknown(u64),
    /// The program has ended.
    #[error("the program {0} has ended")]
    Ended(u64),
    /// The standard input was closed.
    #[error("the standard input of the program {0} is closed")]
    Closed(u64),
    /// The program and the actor wait for each other.
    #[error(
        "the program {id} has accepted {written} of {of} bytes and accepts no more until the actor takes its output: \
         write less at a time"
    )]
    Stuck {
        /// The id of the program.
        id: u64,
        /// How many bytes were written.
        written: usize,
        /// How many bytes there were to write.
        of: usize,
    },
    /// The number is not a signal.
    #[error("{0} is not a signal: signals have the numbers 1 to 64")]
    Signal(u32),
    /// A system call for a running program failed.
    #[error("the program {id}: {source}")]
    System {
        /// The id of the program.
        id: u64,
        /// The system's error.
        source: io::Error,
    },
    /// The actor is being stopped.
    #[error("the actor is being stopped")]
    Stopped,
}

impl From<Error> for String {
    fn from(error: Error) -> Self {
        error.to_string()
    }
}
