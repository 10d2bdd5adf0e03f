//! The limit of open files of this process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::error::Error;

/// The number of open files that the program itself needs, for plugins, the journal and a few sockets.
const OPEN_FILES: u64 = 256;

/// The current limit of open files of this process; `None` is unlimited.
#[must_use]
pub fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Raises the limit of open files to the maximum that the system allows.
///
/// # Errors
/// `S0004`, if the maximum is too low.
pub fn raise() -> Result<(), Error> {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    if most < OPEN_FILES {
        return Err(Error::OpenFiles { have: most, need: OPEN_FILES });
    }
    let raised = Rlimit { current: Some(most.min(1_048_576)), maximum: limit.maximum };
    if limit.current.is_some_and(|current| current < most)
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::debug!("the limit of open files could not be raised: {error}");
    }
    Ok(())
}
