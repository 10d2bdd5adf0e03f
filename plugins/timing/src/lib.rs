//! The `timing` plugin: the wall clock, and waits that suspend only the calling actor.
//!
//! A wait is checked against the config and the deadline of the running call before it begins, so a wait that cannot
//! complete fails at once. All times are in milliseconds; points in time are wall clock times since the Unix epoch.

#![forbid(unsafe_code)]

#[cfg(test)]
mod narrow_tests;

use std::time::{Duration, SystemTime};

use futures_lite::future::or;
use serde::Deserialize;
use serde_json::Value;
use theater_plugin_api::narrow::{self, Rule};
use theater_plugin_api::{Attachment, Call, Handler, Host, Plugin};

theater_plugin_api::bindings! {
    plugin: Timing,
    handler: Clock,
    name: "timing",
    wit: "../../wit",
    provides: { "theater:simple/timing": { "now": read, "sleep": async read, "deadline": async read } },
    config: "config.schema.json",
}

const MAX_SLEEP: u64 = 3_600_000;
const MIN_SLEEP: u64 = 0;

/// The handler's config; `config.schema.json` says what each key means.
#[derive(Deserialize)]
#[serde(default)]
struct Config {
    max_sleep_duration: u64,
    min_sleep_duration: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_sleep_duration: MAX_SLEEP, min_sleep_duration: MIN_SLEEP }
    }
}

/// The plugin. It has no state.
pub struct Timing;

impl Plugin for Timing {
    type Handler = Clock;

    fn init(_: Host) -> Result<Self, String> {
        Ok(Self)
    }

    async fn attach(&self, host: Host, attachment: Attachment) -> Result<Clock, String> {
        let config: Config = attachment.config()?;
        let Config { max_sleep_duration: max, min_sleep_duration: min } = config;
        if min > max {
            return Err(format!("min_sleep_duration = {min} is above max_sleep_duration = {max}: no wait is allowed"));
        }
        Ok(Clock { host, config })
    }

    fn narrow(&self, _: &str, ceiling: &Value, requested: &Value) -> Result<Value, String> {
        let rules = [("max_sleep_duration", Rule::Smaller(MAX_SLEEP)), ("min_sleep_duration", Rule::Larger(MIN_SLEEP))];
        narrow::object(&rules, ceiling, requested)
    }
}

/// The handler of one actor.
pub struct Clock {
    host: Host,
    config: Config,
}

impl Handler for Clock {}

impl Clock {
    async fn wait(&self, call: &Call, ms: u64) -> Result<(), String> {
        self.allowed(ms)?;
        fits(call, ms)?;
        if call.is_cancelled() {
            return Err(interrupted(ms));
        }
        let sleep = async {
            self.host.sleep(Duration::from_millis(ms)).await;
            Ok(())
        };
        let stop = async {
            self.host.cancelled().await;
            Err(interrupted(ms))
        };
        or(sleep, stop).await
    }

    fn allowed(&self, ms: u64) -> Result<(), String> {
        let Config { max_sleep_duration: max, min_sleep_duration: min } = self.config;
        let refused = |what, key, limit| {
            Err(format!(
                "a wait of {ms} ms is {what} than {limit} ms; in the handler timing, config = {{ {key} = {ms} }} allows it, \
                 as far as the parent's config does"
            ))
        };
        if ms > max {
            refused("longer", "max_sleep_duration", max)
        } else if ms < min {
            refused("shorter", "min_sleep_duration", min)
        } else {
            Ok(())
        }
    }
}

impl theater::simple::timing::Timing for Clock {
    fn now(&self, _: &Call) -> u64 {
        now_ms()
    }

    async fn sleep(&self, call: &Call, duration: u64) -> Result<(), String> {
        self.wait(call, duration).await
    }

    async fn deadline(&self, call: &Call, timestamp: u64) -> Result<(), String> {
        match timestamp.saturating_sub(now_ms()) {
            0 => Ok(()),
            left => self.wait(call, left).await,
        }
    }
}

/// Fails if the running call reaches its deadline before a wait of `ms` milliseconds would end.
fn fits(call: &Call, ms: u64) -> Result<(), String> {
    let Some(end) = call.deadline_ms() else { return Ok(()) };
    let left = end.saturating_sub(now_ms());
    if ms < left {
        return Ok(());
    }
    Err(format!(
        "a wait of {ms} ms does not fit in the call, which has {left} ms left: call_timeout_ms in [limits] of the manifest \
         ends it"
    ))
}

fn interrupted(ms: u64) -> String {
    format!("the wait of {ms} ms was interrupted: the actor is being stopped")
}

/// Milliseconds since the Unix epoch by the wall clock; 0 if the clock is set to a time before the epoch.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;
    use std::time::Instant;
    use theater_plugin_api::testing::{FakeHost, attach, block_on};

    fn clock(host: &FakeHost, config: Value) -> Arc<Clock> {
        block_on(attach::<Timing>(host, "timing", config)).unwrap()
    }

    fn ask(host: &FakeHost, clock: &Arc<Clock>, function: &str, ms: u64) -> Result<(), String> {
        block_on(host.call(clock, function, &(ms,))).unwrap()
    }

    /// [timing-1]
    #[test]
    fn now_is_the_wall_clock_in_milliseconds() {
        let host = FakeHost::new();
        let before = now_ms();
        let now: u64 = block_on(host.call(&clock(&host, json!({})), "now", &())).unwrap();
        assert!((before..=now_ms()).contains(&now));
    }

    /// [timing-2]
    #[test]
    fn a_sleep_takes_at_least_its_time() {
        let host = FakeHost::new();
        let start = Instant::now();
        assert_eq!(ask(&host, &clock(&host, json!({})), "sleep", 30), Ok(()));
        assert!(start.elapsed() >= Duration::from_millis(30));
    }

    /// [timing-2] [timing-5]
    #[test]
    fn a_deadline_returns_when_it_has_come_and_at_once_when_it_has_passed() {
        let host = FakeHost::new();
        let clock = clock(&host, json!({ "min_sleep_duration": 10 }));
        let at = now_ms() + 40;
        assert_eq!(ask(&host, &clock, "deadline", at), Ok(()));
        assert!(now_ms() >= at);
        for passed in [0, at] {
            assert_eq!(ask(&host, &clock, "deadline", passed), Ok(()));
        }
    }

    /// [timing-2]
    #[test]
    fn while_one_actor_waits_another_one_goes_on() {
        let (host, other) = (FakeHost::new(), FakeHost::new());
        let (waiting, awake) = (clock(&host, json!({})), clock(&other, json!({})));
        for (function, ms) in [("sleep", 600_000), ("deadline", now_ms() + 600_000)] {
            let waits = async {
                host.call::<_, Result<(), String>>(&waiting, function, &(ms,)).await.unwrap().unwrap();
                None
            };
            let goes_on = async {
                other.call::<_, Result<(), String>>(&awake, "sleep", &(10_u64,)).await.unwrap().unwrap();
                let now: u64 = other.call(&awake, "now", &()).await.unwrap();
                Some(now)
            };
            assert!(block_on(or(waits, goes_on)).is_some(), "{function}");
        }
    }

    /// [timing-3] [timing-4] [timing-9]
    #[test]
    fn a_wait_outside_the_limits_is_err_that_names_the_limit_and_the_line_to_add() {
        let host = FakeHost::new();
        let clock = clock(&host, json!({ "max_sleep_duration": 100, "min_sleep_duration": 10 }));
        let long = ask(&host, &clock, "sleep", 101).unwrap_err();
        assert!(long.contains("longer than 100 ms") && long.contains("max_sleep_duration = 101"), "{long}");
        let short = ask(&host, &clock, "sleep", 9).unwrap_err();
        assert!(short.contains("shorter than 10 ms") && short.contains("min_sleep_duration = 9"), "{short}");
        assert!(ask(&host, &clock, "deadline", now_ms() + 60_000).is_err());
        assert!(ask(&host, &clock, "deadline", u64::MAX).is_err());
    }

    /// [timing-3] [timing-4]
    #[test]
    fn the_default_limits_are_an_hour_and_nothing() {
        let host = FakeHost::new();
        let clock = clock(&host, json!({}));
        assert_eq!(ask(&host, &clock, "sleep", 0), Ok(()));
        assert!(ask(&host, &clock, "sleep", 3_600_001).is_err());
        assert_eq!(clock.allowed(3_600_000), Ok(()));
    }

    /// [timing-6]
    #[test]
    fn a_stop_interrupts_a_running_wait_and_a_later_one_with_err() {
        let host = FakeHost::new();
        let clock = clock(&host, json!({}));
        let stopped = block_on(async {
            let sleep = host.call::<_, Result<(), String>>(&clock, "sleep", &(3_600_000_u64,));
            let stop = async {
                host.stop();
                std::future::pending().await
            };
            or(sleep, stop).await.unwrap()
        });
        assert!(stopped.unwrap_err().contains("interrupted"));
        assert!(ask(&host, &clock, "sleep", 3_600_000).unwrap_err().contains("interrupted"));
    }

    /// [timing-7]
    #[test]
    fn a_wait_that_does_not_fit_in_the_call_is_err_that_names_call_timeout_ms() {
        let host = FakeHost::new();
        let clock = clock(&host, json!({}));
        host.set_deadline(now_ms() + 1_000);
        for (function, ms) in [("sleep", 1_001), ("deadline", now_ms() + 2_000)] {
            let error = ask(&host, &clock, function, ms).unwrap_err();
            assert!(error.contains("call_timeout_ms"), "{error}");
        }
        assert_eq!(ask(&host, &clock, "sleep", 1), Ok(()));
    }

    #[test]
    fn limits_that_allow_no_wait_fail_the_start() {
        let config = json!({ "max_sleep_duration": 1, "min_sleep_duration": 2 });
        let error = block_on(attach::<Timing>(&FakeHost::new(), "timing", config)).err().unwrap();
        assert!(error.contains("min_sleep_duration = 2"), "{error}");
    }

    /// [timing-10]
    #[test]
    fn narrowing_takes_the_shorter_maximum_and_the_longer_minimum() {
        let ceiling = json!({ "max_sleep_duration": 10, "min_sleep_duration": 5 });
        assert_eq!(Timing.narrow("timing", &ceiling, &json!({ "min_sleep_duration": 1 })), Ok(ceiling.clone()));
    }
}
