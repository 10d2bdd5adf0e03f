//! The table of an actor's programs by id: 1, 2, 3 and so on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use theater_child_process::exit_code;

use crate::error::Error;
use crate::program::{LOST, Program};
use crate::theater::simple::process::ProcessStatus;

/// All programs the actor has ever started.
pub struct ProgramTable {
    inner: Mutex<Inner>,
    /// The newest id, of this or a previous run of the actor.
    last: Arc<AtomicU64>,
}

#[derive(Default)]
struct Inner {
    starting: u64,
    programs: BTreeMap<u64, ProgramEntry>,
}

struct ProgramEntry {
    /// Milliseconds since the epoch.
    start: u64,
    state: ProgramState,
    /// The actor has received the exit.
    is_reported: bool,
}

/// The part of the table that is stored in a snapshot.
#[derive(Serialize, Deserialize)]
pub struct HandlerState {
    last: u64,
    /// Id, start time, the exit code if it is known, and whether the actor has received it.
    programs: Vec<(u64, u64, Option<i32>, bool)>,
}

impl ProgramEntry {
    /// Returns whether the program counts as running: until all of its output is delivered, since it holds pipes so
    /// long.
    fn runs(&self) -> bool {
        matches!(self.state, ProgramState::Running(_))
    }
}

enum ProgramState {
    Running(Arc<Program>),
    Ended(i32),
    Lost,
}

/// A reservation for one more program, released on drop.
pub struct Reservation<'a>(&'a ProgramTable);

impl ProgramTable {
    /// Creates an empty table; the first id is the one after `last`.
    pub fn new(last: Arc<AtomicU64>) -> Self {
        Self { inner: Mutex::default(), last }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A poisoned lock is safe to use: every change under it is a single step.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a reservation, unless `most` programs are running or being started.
    pub fn reserve(&self, most: u64) -> Result<Reservation<'_>, Error> {
        let mut inner = self.lock();
        if inner.running() + inner.starting >= most {
            return Err(Error::TooMany { most });
        }
        inner.starting += 1;
        Ok(Reservation(self))
    }

    /// Returns the program, or `None` if it has ended.
    pub fn get(&self, id: u64) -> Result<Option<Arc<Program>>, Error> {
        match &self.lock().programs.get(&id).ok_or(Error::Unknown(id))?.state {
            ProgramState::Running(program) => Ok(Some(Arc::clone(program))),
            ProgramState::Ended(_) | ProgramState::Lost => Ok(None),
        }
    }

    /// Returns the programs that are running or whose output is still being delivered.
    pub fn running(&self) -> Vec<Arc<Program>> {
        let inner = self.lock();
        let running = inner.programs.values().filter_map(|entry| match &entry.state {
            ProgramState::Running(program) => Some(Arc::clone(program)),
            ProgramState::Ended(_) | ProgramState::Lost => None,
        });
        running.collect()
    }

    pub fn status(&self, id: u64) -> Result<ProcessStatus, Error> {
        let inner = self.lock();
        let entry = inner.programs.get(&id).ok_or(Error::Unknown(id))?;
        let exit_code = match entry.state {
            ProgramState::Running(ref program) => program.group.status().map(exit_code),
            ProgramState::Ended(code) => Some(code),
            ProgramState::Lost => Some(LOST),
        };
        Ok(ProcessStatus { pid: id, running: exit_code.is_none(), exit_code, start_time: entry.start })
    }

    /// Marks a program as ended; only its exit code is kept.
    pub fn end(&self, id: u64, code: i32) {
        if let Some(entry) = self.lock().programs.get_mut(&id) {
            entry.state = ProgramState::Ended(code);
        }
    }

    /// Sets whether the actor has received a program's exit.
    pub fn set_reported(&self, id: u64, is_reported: bool) {
        if let Some(entry) = self.lock().programs.get_mut(&id) {
            entry.is_reported = is_reported;
        }
    }

    pub fn saved(&self) -> HandlerState {
        let inner = self.lock();
        let programs = inner.programs.iter().map(|(id, entry)| {
            let code = match entry.state {
                ProgramState::Ended(code) => Some(code),
                ProgramState::Running(_) | ProgramState::Lost => None,
            };
            (*id, entry.start, code, entry.is_reported)
        });
        HandlerState { last: self.last.load(Ordering::Relaxed), programs: programs.collect() }
    }

    /// Restores the programs of a snapshot; all that were running are lost.
    pub fn restore(&self, saved: HandlerState) {
        self.last.fetch_max(saved.last, Ordering::Relaxed);
        for (id, start, code, is_reported) in saved.programs {
            self.insert_ended(id, start, code, is_reported);
        }
    }

    /// Adds a program that the previous run started, unless it is known already.
    pub fn add_lost(&self, id: u64) {
        if !self.lock().programs.contains_key(&id) {
            self.insert_ended(id, now_ms(), None, false);
        }
    }

    /// Adds a program that ended in the previous run, and whether the actor has received the exit.
    pub fn add_ended(&self, id: u64, code: i32, is_reported: bool) {
        let start = self.lock().programs.get(&id).map_or_else(now_ms, |entry| entry.start);
        self.insert_ended(id, start, Some(code), is_reported);
    }

    fn insert_ended(&self, id: u64, start: u64, code: Option<i32>, is_reported: bool) {
        if id > 0 {
            self.last.fetch_max(id, Ordering::Relaxed);
            let state = code.map_or(ProgramState::Lost, ProgramState::Ended);
            self.lock().programs.insert(id, ProgramEntry { start, state, is_reported });
        }
    }

    /// Returns the ended programs whose exit the actor has not received, with their exit codes.
    pub fn unreported(&self) -> Vec<(u64, i32)> {
        let inner = self.lock();
        let untold = inner.programs.iter().filter(|(_, entry)| !entry.is_reported);
        let ended = untold.filter_map(|(id, entry)| match entry.state {
            ProgramState::Running(_) => None,
            ProgramState::Ended(code) => Some((*id, code)),
            ProgramState::Lost => Some((*id, LOST)),
        });
        ended.collect()
    }
}

impl Inner {
    fn running(&self) -> u64 {
        self.programs.values().filter(|entry| entry.runs()).count() as u64
    }
}

impl Reservation<'_> {
    /// Puts the started program into the table and returns its id.
    pub fn insert(self, program: Program) -> (u64, Arc<Program>) {
        let program = Arc::new(program);
        let mut inner = self.0.lock();
        let id = 1 + self.0.last.fetch_add(1, Ordering::Relaxed);
        inner.programs.insert(
            id,
            ProgramEntry { start: now_ms(), state: ProgramState::Running(Arc::clone(&program)), is_reported: false },
        );
        (id, program)
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.0.lock().starting -= 1;
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_that_are_being_started_have_their_places() {
        let table = ProgramTable::new(Arc::default());
        let (first, _second) = (table.reserve(2).unwrap(), table.reserve(2).unwrap());
        assert!(matches!(table.reserve(2), Err(Error::TooMany { most: 2 })));
        drop(first);
        assert!(table.reserve(2).is_ok());
    }
}
