//! The handler: the greeter of one actor, with all state that belongs to this actor.
//!
//! Ticks and visits call the actor back from futures that are spawned through the host, so that they end with the
//! actor. The actor accepts calls only after `started`. Ticks and visits that its `init` requests are held back until
//! then.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_lite::future::or;
use theater_plugin_api::encoding::{decode, encode};
use theater_plugin_api::host::Spawned;
use theater_plugin_api::{Call, CallError, Handler, Host, Level, Recovered};

use crate::Config;
use crate::acme::greeter::hello::{Fault, Hello, Occasion, Person};
use crate::acme::greeter::visitor;
use crate::greeting::greeting;
use crate::theater::simple::types::ActorId;

/// How often `wait-for` checks whether the other actor has ended. The host only notifies a handler of its own actor's
/// end.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The greeter of one actor.
pub struct Greeter {
    host: Host,
    config: Config,
    /// Number of calls of all actors, shared with the plugin.
    total: Arc<AtomicU64>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    count: u64,
    started: bool,
    /// Milliseconds between ticks, once the actor has requested them.
    ticks: Option<u64>,
    ticker: Option<Spawned>,
    /// Visits that were requested before `started`.
    visits: Vec<Person>,
}

impl Greeter {
    pub(crate) fn new(host: Host, config: Config, total: Arc<AtomicU64>) -> Self {
        Self { host, config, total, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call, and returns the numbers of calls of this actor and of all actors, including this call.
    fn counted(&self) -> (u64, u64) {
        let mut state = self.state();
        state.count += 1;
        (state.count, self.total.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Starts ticking every `every_ms`, and stops an earlier ticker.
    fn tick(&self, state: &mut State, every_ms: u64) {
        let every = Duration::from_millis(every_ms);
        let ticker = self.host.spawn(ticks(self.host.clone(), every));
        if let Some(earlier) = state.ticker.replace(ticker) {
            earlier.abort();
        }
    }

    fn bring(&self, visitor: Person) {
        self.host.spawn(visit(self.host.clone(), visitor));
    }

    /// Waits for a future, or returns an error as soon as the actor is being stopped.
    async fn unless_stopped<T>(&self, wait: impl Future<Output = T>) -> Result<T, String> {
        let waited = async { Ok(wait.await) };
        let stopped = async {
            self.host.cancelled().await;
            Err("the wait was interrupted: the actor is being stopped".to_owned())
        };
        or(waited, stopped).await
    }
}

async fn ticks(host: Host, every: Duration) {
    for number in 1_u64.. {
        host.sleep(every).await;
        match visitor::handle_tick(&host, "a tick of acme:greeter", &number).await {
            Ok(()) => host.count("ticks", 1.0),
            Err(CallError::Gone(_)) => return,
            Err(error) => host.log(Level::Warn, &format!("tick {number}: {error}")),
        }
    }
}

async fn visit(host: Host, who: Person) {
    match visitor::handle_visit(&host, "a visit of acme:greeter", &who).await {
        Ok(answer) => host.log(Level::Info, &format!("{} was told: {answer}", who.name)),
        Err(error) => host.log(Level::Warn, &format!("the visit of {} failed: {error}", who.name)),
    }
}

impl Handler for Greeter {
    async fn started(&self, resumed: bool) -> Result<Vec<String>, String> {
        let mut state = self.state();
        state.started = true;
        if let Some(every_ms) = state.ticks {
            self.tick(&mut state, every_ms);
        }
        for visitor in std::mem::take(&mut state.visits) {
            self.bring(visitor);
        }
        if resumed {
            self.host.log(Level::Info, &format!("resumed after {} calls", state.count));
        }
        Ok(Vec::new())
    }

    fn export_state(&self) -> Result<Vec<u8>, String> {
        let state = self.state();
        encode(&(state.count, state.ticks)).map_err(|error| error.to_string())
    }

    fn import_state(&self, exported: &[u8]) -> Result<(), String> {
        let (count, ticks) = decode(exported).map_err(|error| format!("not a greeter's state: {error}"))?;
        let mut state = self.state();
        (state.count, state.ticks) = (count, ticks);
        Ok(())
    }

    /// Counts the recorded call, and restarts its ticks, which are numbered from 1 again. A visit is not repeated: if
    /// it was queued, it is in the actor's mailbox. `total` is not changed, because it counts the calls of this
    /// process.
    fn recover(&self, call: Recovered<'_>) -> Result<(), String> {
        // Calls into the actor need no recovery.
        if call.is_export {
            return Ok(());
        }
        let mut state = self.state();
        state.count += 1;
        if call.function.ends_with("/start-ticks") {
            let unreadable = |error| format!("{}: {error}", call.function);
            let (every_ms,) = decode(call.arguments).map_err(unreadable)?;
            if decode::<Result<(), String>>(call.result).map_err(unreadable)?.is_ok() {
                state.ticks = Some(every_ms);
            }
        }
        Ok(())
    }
}

impl Hello for Greeter {
    fn greet(&self, _: &Call, who: Person, on: Occasion) -> Result<String, String> {
        self.counted();
        let words = greeting(&self.config, &who, &on)?;
        self.host.count("greetings", 1.0);
        Ok(words)
    }

    async fn greet_later(&self, _: &Call, who: Person, delay_ms: u64) -> Result<String, String> {
        self.counted();
        let words = greeting(&self.config, &who, &Occasion::PlainDay)?;
        self.unless_stopped(self.host.sleep(Duration::from_millis(delay_ms))).await?;
        self.host.count("greetings", 1.0);
        Ok(words)
    }

    fn average(&self, _: &Call, values: Vec<f64>) -> f64 {
        self.counted();
        values.iter().sum::<f64>() / values.len() as f64
    }

    fn mix(
        &self,
        _: &Call,
        a: bool,
        b: u8,
        c: i8,
        d: u16,
        e: i16,
        f: u32,
        g: i32,
        h: u64,
        i: i64,
        j: f32,
        k: f64,
        l: char,
        m: u32,
        n: u32,
        o: u32,
        p: u32,
        q: u32,
        r: u32,
        s: u32,
        t: &str,
    ) -> String {
        self.counted();
        format!("{a} {b} {c} {d} {e} {f} {g} {h} {i} {j} {k} {l} {m} {n} {o} {p} {q} {r} {s} {t}")
    }

    fn count(&self, _: &Call) -> u64 {
        self.counted().0
    }

    fn total(&self, _: &Call) -> u64 {
        self.counted().1
    }

    fn owner(&self, call: &Call) -> ActorId {
        self.counted();
        call.actor()
    }

    async fn start_ticks(&self, _: &Call, every_ms: u64) -> Result<(), String> {
        self.counted();
        if every_ms == 0 {
            return Err("ticks come every 1 ms or more, not every 0".to_owned());
        }
        if !visitor::exports_handle_tick(&self.host) {
            return Err("there is nobody to tick for: the actor does not export acme:greeter/visitor".to_owned());
        }
        let mut state = self.state();
        state.ticks = Some(every_ms);
        if state.started {
            self.tick(&mut state, every_ms);
        }
        Ok(())
    }

    async fn visit(&self, _: &Call, who: Person) -> Result<String, String> {
        self.counted();
        if !visitor::exports_handle_visit(&self.host) {
            return Err("there is nobody to visit: the actor does not export acme:greeter/visitor".to_owned());
        }
        let answer = format!("{} is on the way", who.name);
        let mut state = self.state();
        if state.started {
            self.bring(who);
        } else {
            state.visits.push(who);
        }
        Ok(answer)
    }

    async fn wait_for(&self, _: &Call, actor: ActorId) -> Result<(), String> {
        self.counted();
        // Registered until this function returns, so that a cycle of waits is detected.
        let _waiting = self.host.wait_for(&actor, "wait-for of acme:greeter")?;
        let ended = async {
            // While that wait is registered, another one is refused only if the other actor is gone.
            while self.host.wait_for(&actor, "wait-for of acme:greeter").is_ok() {
                self.host.sleep(LOOK_EVERY).await;
            }
        };
        self.unless_stopped(ended).await
    }

    fn fail(&self, _: &Call, how: Fault) -> Result<(), String> {
        self.counted();
        match how {
            #[allow(clippy::panic, reason = "this is what the actor asked for")]
            Fault::Panic => panic!("the greeter was asked to panic"),
            Fault::Error => Err("the greeter was asked to fail".to_owned()),
            Fault::WrongBytes => {
                Err("wrong bytes cannot be made: bindings! encodes every result from a Rust value of its type"
                    .to_owned())
            }
        }
    }
}
