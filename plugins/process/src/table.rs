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
pub struct Table {
    inner: Mutex<Inner>,
    /// The newest id, of this or a previous run of the actor.
    last: Arc<AtomicU64>,
}

#[derive(Default)]
struct Inner {
    starting: u64,
    programs: BTreeMap<u64, Entry>,
}

struct Entry {
    /// Milliseconds since the epoch.
    start: u64,
    state: State,
    /// The actor has received the exit.
    is_told: bool,
}

/// The part of the table that is stored in a snapshot.
#[derive(Serialize, Deserialize)]
pub struct Saved {
    last: u64,
    /// Id, start time, the exit code if it is known, and whether the actor has received it.
    programs: Vec<(u64, u64, Option<i32>, bool)>,
}

impl Entry {
    /// Returns whether the program counts as running: until all of its output is delivered, since it holds pipes so
    /// long.
    fn runs(&self) -> bool {
        matches!(self.state, State::Running(_))
    }
}

enum State {
    Running(Arc<Program>),
    Ended(i32),
    Lost,
}

/// A reservation for one more program, released on drop.
pub struct Place<'a>(&'a Table);

impl Table {
    /// Creates an empty table; the first id is the one after `last`.
    pub fn new(last: Arc<AtomicU64>) -> Self {
        Self { inner: Mutex::default(), last }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A poisoned lock is safe to use: every change under it is a single step.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a reservation, unless `most` programs are running or being started.
    pub fn enter(&self, most: u64) -> Result<Place<'_>, Error> {
        let mut inner = self.lock();
        if inner.running() + inner.starting >= most {
            return Err(Error::TooMany { most });
        }
        inner.starting += 1;
        Ok(Place(self))
    }

    /// Returns the program, or `None` if it has ended.
    pub fn get(&self, id: u64) -> Result<Option<Arc<Program>>, Error> {
        match &self.lock().programs.get(&id).ok_or(Error::Unknown(id))?.state {
            State::Running(program) => Ok(Some(Arc::clone(program))),
            State::Ended(_) | State::Lost => Ok(None),
        }
    }

    /// Returns the programs that are running or whose output is still being delivered.
    pub fn running(&self) -> Vec<Arc<Program>> {
        let inner = self.lock();
        let running = inner.programs.values().filter_map(|entry| match &entry.state {
            State::Running(program) => Some(Arc::clone(program)),
            State::Ended(_) | State::Lost => None,
        });
        running.collect()
    }

    pub fn status(&self, id: u64) -> Result<ProcessStatus, Error> {
        let inner = self.lock();
        let entry = inner.programs.get(&id).ok_or(Error::Unknown(id))?;
        let exit_code = match entry.state {
            State::Running(ref program) => program.group.status().map(exit_code),
            State::Ended(code) => Some(code),
            State::Lost => Some(LOST),
        };
        Ok(ProcessStatus { pid: id, running: exit_code.is_none(), exit_code, start_time: entry.start })
    }

    /// Marks a program as ended; only its exit code is kept.
    pub fn end(&self, id: u64, code: i32) {
        if let Some(entry) = self.lock().programs.get_mut(&id) {
            entry.state = State::Ended(code);
        }
    }

    /// Sets whether the actor has received a program's exit.
    pub fn told(&self, id: u64, is_told: bool) {
        if let Some(entry) = self.lock().programs.get_mut(&id) {
            entry.is_told = is_told;
        }
    }

    pub fn saved(&self) -> Saved {
        let inner = self.lock();
        let programs = inner.programs.iter().map(|(id, entry)| {
            let code = match entry.state {
                State::Ended(code) => Some(code),
                State::Running(_) | State::Lost => None,
            };
            (*id, entry.start, code, entry.is_told)
        });
        Saved { last: self.last.load(Ordering::Relaxed), programs: programs.collect() }
    }

    /// Restores the programs of a snapshot; all that were running are lost.
    pub fn restore(&self, saved: Saved) {
        self.last.fetch_max(saved.last, Ordering::Relaxed);
        for (id, start, code, is_told) in saved.programs {
            self.enter_lost(id, start, code, is_told);
        }
    }

    /// Adds a program that the previous run started, unless it is known already.
    pub fn lose(&self, id: u64) {
        if !self.lock().programs.contains_key(&id) {
            self.enter_lost(id, now_ms(), None, false);
        }
    }

    /// Adds a program that ended in the previous run, and whether the actor has received the exit.
    pub fn had_ended(&self, id: u64, code: i32, is_told: bool) {
        let start = self.lock().programs.get(&id).map_or_else(now_ms, |entry| entry.start);
        self.enter_lost(id, start, Some(code), is_told);
    }

    fn enter_lost(&self, id: u64, start: u64, code: Option<i32>, is_told: bool) {
        if id > 0 {
            self.last.fetch_max(id, Ordering::Relaxed);
            let state = code.map_or(State::Lost, State::Ended);
            self.lock().programs.insert(id, Entry { start, state, is_told });
        }
    }

    /// Returns the ended programs whose exit the actor has not received, with their exit codes.
    pub fn lost(&self) -> Vec<(u64, i32)> {
        let inner = self.lock();
        let untold = inner.programs.iter().filter(|(_, entry)| !entry.is_told);
        let ended = untold.filter_map(|(id, entry)| match entry.state {
            State::Running(_) => None,
            State::Ended(code) => Some((*id, code)),
            State::Lost => Some((*id, LOST)),
        });
        ended.collect()
    }
}

impl Inner {
    fn running(&self) -> u64 {
        self.programs.values().filter(|entry| entry.runs()).count() as u64
    }
}

impl Place<'_> {
    /// Puts the started program into the table and returns its id.
    pub fn fill(self, program: Program) -> (u64, Arc<Program>) {
        let program = Arc::new(program);
        let mut inner = self.0.lock();
        let id = 1 + self.0.last.fetch_add(1, Ordering::Relaxed);
        inner
            .programs
            .insert(id, Entry { start: now_ms(), state: State::Running(Arc::clone(&program)), is_told: false });
        (id, program)
    }
}

impl Drop for Place<'_> {
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
        let table = Table::new(Arc::default());
        let (first, _second) = (table.enter(2).unwrap(), table.enter(2).unwrap());
        assert!(matches!(table.enter(2), Err(Error::TooMany { most: 2 })));
        drop(first);
        assert!(table.enter(2).is_ok());
    }
}
