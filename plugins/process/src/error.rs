//! What can go wrong, in words for the actor and the operator.

use std::io;

/// Why a call gave no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program that the config does not name.
    #[error(
        "the program {0:?} is not allowed: in the handler process, config = {{ allowed_programs = [{0:?}] }} allows it, as \
         far as the parent's config does"
    )]
    Program(String),
    /// A program that was not there when the actor started.
    #[error(
        "the program {0:?} is allowed but was not found when the actor started: install it, then start the actor again"
    )]
    NoProgram(String),
    /// A folder that the config does not name.
    #[error(
        "the folder {0:?} is not allowed: in the handler process, config = {{ allowed_paths = [{0:?}] }} allows it, as far \
         as the parent's config does"
    )]
    Path(String),
    /// A variable that the config does not name.
    #[error(
        "the variable {0:?} is not allowed: in the handler process, config = {{ allowed_env = [{0:?}] }} allows it, as far as \
         the parent's config does; a variable can decide what a program does"
    )]
    Variable(String),
    /// No folder at all.
    #[error(
        "a program needs a folder to run in: in the handler process, config = {{ allowed_paths = [\"...\"] }} allows one, as \
         far as the parent's config does"
    )]
    NoPath,
    /// A folder that could not be opened.
    #[error("the folder {path:?} could not be opened: {source}")]
    Folder {
        /// The folder.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// A number of the request that is out of its bounds.
    #[error("{what} = {found} is out of bounds: {bounds}")]
    Bounds {
        /// The field.
        what: &'static str,
        /// What was asked for.
        found: u64,
        /// What is possible.
        bounds: String,
    },
    /// `chunked` without a size.
    #[error("the mode chunked needs chunk-size")]
    NoChunkSize,
    /// A text that no program can be given.
    #[error("{0} has a NUL, or is a variable without a name or with = in it, which no program can be given")]
    Text(&'static str),
    /// As many programs as allowed.
    #[error(
        "{most} programs run, as many as may: wait for the end of one; in the handler process, config = {{ max_processes = {} \
         }} allows one more, as far as the parent's config does", most.saturating_add(1)
    )]
    TooMany {
        /// The config's.
        most: u64,
    },
    /// The system did not start it.
    #[error("{program} could not be started: {source}")]
    Start {
        /// Its file.
        program: String,
        /// What the system says.
        source: io::Error,
    },
    /// An id that no program of this actor has.
    #[error("this actor has no program {0}: ids are what os-spawn answered")]
    Unknown(u64),
    /// It has ended.
    #[error("the program {0} has ended")]
    Ended(u64),
    /// Its standard input was closed.
    #[error("the standard input of the program {0} is closed")]
    Closed(u64),
    /// Program and actor wait for each other.
    #[error(
        "the program {id} has taken {written} of {of} bytes and takes no more before the actor takes what it has said: write \
         less at a time"
    )]
    Stuck {
        /// Its id.
        id: u64,
        /// How many bytes it took.
        written: usize,
        /// Of how many.
        of: usize,
    },
    /// A number that is no signal.
    #[error("{0} is no signal: they have the numbers 1 to 64")]
    Signal(u32),
    /// What the system says about a running program.
    #[error("the program {id}: {source}")]
    System {
        /// Its id.
        id: u64,
        /// What the system says.
        source: io::Error,
    },
    /// The actor is ending.
    #[error("the actor is being stopped")]
    Stopped,
}

impl From<Error> for String {
    fn from(error: Error) -> Self {
        error.to_string()
    }
}
