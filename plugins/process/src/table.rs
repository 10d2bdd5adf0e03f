//! An actor's programs by their ids: 1, 2, 3 and so on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use theater_child_process::exit_code;

use crate::error::Error;
use crate::program::Program;
use crate::theater::simple::process::ProcessStatus;

/// The exit code of a program that was lost with the process that started it: killed, for all that is known.
pub const LOST: i32 = -9;

/// All programs the actor ever started.
pub struct Table {
    inner: Mutex<Inner>,
    /// The newest id, of this life of the actor or one before.
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
    /// The actor has heard of its end.
    is_told: bool,
}

/// What a snapshot keeps.
#[derive(Serialize, Deserialize)]
pub struct Saved {
    last: u64,
    /// Id, start, the exit code once it is known, and whether the actor has heard of it.
    programs: Vec<(u64, u64, Option<i32>, bool)>,
}

impl Entry {
    /// It has pipes, and so costs something, until the actor has been given all it said.
    fn runs(&self) -> bool {
        matches!(self.state, State::Running(_))
    }
}

enum State {
    Running(Arc<Program>),
    Ended(i32),
    Lost,
}

/// The right to start one more program, given back when dropped.
pub struct Place<'a>(&'a Table);

impl Table {
    /// Without programs; the first id is the one behind `last`.
    pub fn new(last: Arc<AtomicU64>) -> Self {
        Self { inner: Mutex::default(), last }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change under the lock is one step.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place, unless `most` programs run or are being started.
    pub fn enter(&self, most: u64) -> Result<Place<'_>, Error> {
        let mut inner = self.lock();
        if inner.running() + inner.starting >= most {
            return Err(Error::TooMany { most });
        }
        inner.starting += 1;
        Ok(Place(self))
    }

    /// The program, none when it has ended.
    pub fn get(&self, id: u64) -> Result<Option<Arc<Program>>, Error> {
        match &self.lock().programs.get(&id).ok_or(Error::Unknown(id))?.state {
            State::Running(program) => Ok(Some(Arc::clone(program))),
            State::Ended(_) | State::Lost => Ok(None),
        }
    }

    /// Those that run, or whose output is on its way.
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

    /// A program has ended: only how is kept of it.
    pub fn end(&self, id: u64, code: i32) {
        if let Some(entry) = self.lock().programs.get_mut(&id) {
            entry.state = State::Ended(code);
        }
    }

    /// The actor hears of a program's end, or does not come to it.
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

    /// What was there before the process ended.
    pub fn restore(&self, saved: Saved) {
        self.last.fetch_max(saved.last, Ordering::Relaxed);
        for (id, start, code, is_told) in saved.programs {
            self.enter_lost(id, start, code, is_told);
        }
    }

    /// A program that was started before the process ended.
    pub fn lose(&self, id: u64) {
        if !self.lock().programs.contains_key(&id) {
            self.enter_lost(id, now_ms(), None, false);
        }
    }

    /// A program that ended before the process did; whether the actor heard of it.
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

    /// Those of whose end the actor is to be told, with their exit codes.
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
    /// The program is there: its id.
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
