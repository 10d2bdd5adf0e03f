//! Re-executes calls and compares them with the chain.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;
use theater_plugin_api::Bytes;
use theater_plugin_api::encoding::encode;

use theater_chain::event::{Hash, Header, sha3};
use theater_chain::event_text::EventText;
use theater_chain::interface_name::meets;
use theater_chain::record::{HostResult, Kind, Outcome, Return};
use theater_chain::state_digest::Change;
use theater_chain::verify::Event;

use crate::actor::NOT_BEGUN;
use crate::actor::remainder::{Intent, RecordedHostCall, Remainder, UnfinishedCall};
use crate::replay::error::{cannot, data_of};
use crate::replay::events::Replay;
use crate::replay::guest::{Answers, HostDifference, ReplayedCall};
use crate::replay::past::{ENDED_OK, ENDED_OTHERWISE, ReexecutedCall, WaitingCall};
use crate::replay::report::{Difference, what_differs};
use crate::replay::reread::{encodings, read_part};
use crate::support::error::Error;
use crate::support::executor::block_on;
use crate::wasm::fault::OutOfTime;

impl Replay<'_> {
    /// Handles the end of a call: re-executes the call and compares.
    pub(super) fn check_return(&mut self, event: &Event<'_>) -> Result<(), Error> {
        let returned: Return = data_of(event)?;
        let sequence = event.header.sequence;
        let call = event.header.call.unwrap_or(u64::MAX);
        let waiting = self.waiting.remove(&call);
        let waiting = waiting.ok_or_else(|| cannot(sequence, "the call that it ends was not queued"))?;
        self.record_result(&waiting, &returned);
        if self.did_nothing(call, &returned) {
            // The call waited when the program ended, or did nothing that could be compared.
            if !matches!(&returned.outcome, Outcome::Interrupted(text) if text == NOT_BEGUN) {
                self.drop_instance();
            }
            self.report.interrupted += 1;
            return Ok(());
        }
        let interrupted = match &returned.outcome {
            Outcome::Interrupted(_) => true,
            Outcome::Trap(text) => text.contains(OutOfTime::BEGINNING),
            _ => false,
        };
        let made = self.kept_call(&waiting, &returned)?;
        let state = self.run.as_ref().and_then(|run| run.state.share());
        let mut ran = self.reexecute(sequence, call, &waiting, interrupted)?;
        if let Some(differs) = ran.differs.take() {
            self.report_call_difference(|replay| replay.host_difference(&event.header, (call, &waiting), differs));
            return Ok(());
        }
        if matches!(returned.outcome, Outcome::Trap(_) | Outcome::Interrupted(_)) {
            self.drop_instance();
        } else if let (Some(made), Some(all)) = (made, &mut self.kept_calls) {
            if all.calls.is_empty() {
                all.state = state;
            }
            all.calls.push(made);
        }
        self.compare(event, (call, &waiting), &returned, (ran, interrupted));
        Ok(())
    }

    /// Adds the result of a call to the calls that handlers recover from. A plain replay does not collect these.
    fn record_result(&mut self, waiting: &WaitingCall, returned: &Return) {
        if let Some(past) = self.calls.as_mut().and_then(|calls| calls.get_mut(waiting.index)) {
            past.result = match &returned.outcome {
                Outcome::Ok(values) => [ENDED_OK, values.as_ref()].concat().into(),
                _ => Bytes::from(ENDED_OTHERWISE),
            };
        }
    }

    /// Returns whether an interrupted call has neither a host call nor an intent.
    fn did_nothing(&self, call: u64, returned: &Return) -> bool {
        let is_of_it = |header: &Header| header.call == Some(call);
        matches!(returned.outcome, Outcome::Interrupted(_))
            && returned.host_calls == 0
            && !self.hosts.iter().any(|host| is_of_it(&host.header))
            && !self.intent.as_ref().is_some_and(|intent| is_of_it(&intent.header))
    }

    /// Compares the end of a re-executed call with the recorded one, and commits the new state.
    fn compare(
        &mut self,
        event: &Event<'_>,
        (call, waiting): (u64, &WaitingCall),
        returned: &Return,
        (ran, interrupted): (ReplayedCall, bool),
    ) {
        let change = match (&ran.outcome, ran.state, &self.run) {
            (Outcome::Ok(_), Some(state), Some(run)) => run.state.change(state),
            _ => None,
        };
        let digest = change.as_ref().map(Change::digest);
        // How an interrupted call would have ended is not a difference.
        let now = match interrupted {
            true => Return {
                host_calls: if ran.is_out_of_time { returned.host_calls } else { ran.host_calls },
                state: None,
                ..returned.clone()
            },
            false => Return { outcome: ran.outcome, host_calls: ran.host_calls, state: digest },
        };
        if let Some(what) = what_differs(returned, &now) {
            self.report_call_difference(|replay| {
                let [recorded, replayed] = replay.describe_both(event, &now);
                Difference {
                    sequence: event.header.sequence,
                    what: what.to_owned(),
                    before: replay.report.calls,
                    call: (call, replay.formatter.describe(&waiting.event.event())),
                    recorded: Some(recorded),
                    replayed: Some(replayed),
                }
            });
        } else if interrupted {
            self.report.interrupted += 1;
        } else {
            self.report.calls += 1;
            self.report.host_calls += now.host_calls;
        }
        if let (false, Some(change), Some(run)) = (interrupted, change, &mut self.run) {
            run.state.commit(change);
        }
    }

    /// Returns the call as a kept instance has it in its memory, when a resume is to rebuild that instance.
    fn kept_call(&mut self, waiting: &WaitingCall, returned: &Return) -> Result<Option<ReexecutedCall>, Error> {
        if self.kept_calls.is_none() || !self.run.as_ref().is_some_and(|run| run.is_kept) {
            return Ok(None);
        }
        let WaitingCall { queued, cause, interface, function, params, .. } = waiting;
        let mut hosts = std::mem::take(&mut self.hosts);
        for host in &mut hosts {
            self.reread(host)?;
        }
        self.hosts = hosts;
        let of_it = self.hosts.iter().filter(|host| host.header.call == Some(queued.sequence));
        let begun = Remainder { hosts: of_it.cloned().collect(), intent: None, has_ended: true };
        let call = UnfinishedCall {
            queued: *queued,
            cause: *cause,
            interface: interface.clone(),
            function: function.clone(),
            params: params.clone(),
            begun: Some(begun),
        };
        Ok(Some(ReexecutedCall { call, returned: returned.clone() }))
    }

    /// Formats an event, and the same event with the data that it has now.
    pub(super) fn describe_both(&mut self, event: &Event<'_>, now: &impl Serialize) -> [EventText; 2] {
        let data = encode(now).unwrap_or_default();
        let now = Event { data: Some(&data), header: event.header.clone(), ..*event };
        [self.formatter.describe(event), self.formatter.describe(&now)]
    }

    /// Re-executes a call that the chain does not end, as far as its recorded host calls go.
    pub(super) fn check_unended(&mut self) -> Result<(), Error> {
        let newest = self.hosts.back().map(|host| &host.header).or(self.intent.as_ref().map(|intent| &intent.header));
        let Some(header) = newest.cloned() else { return Ok(()) };
        let call = header.call.unwrap_or(u64::MAX);
        let Some(waiting) = self.waiting.remove(&call) else {
            self.hosts.clear();
            self.intent = None;
            return Ok(());
        };
        let ran = self.reexecute(header.sequence, call, &waiting, true)?;
        if let Some(differs) = ran.differs {
            self.report_call_difference(|replay| replay.host_difference(&header, (call, &waiting), differs));
        }
        self.waiting.insert(call, waiting);
        Ok(())
    }

    /// Re-executes a call with what was recorded of it. Host calls of other calls stay: those calls wait to be resumed.
    fn reexecute(
        &mut self,
        sequence: u64,
        call: u64,
        waiting: &WaitingCall,
        interrupted: bool,
    ) -> Result<ReplayedCall, Error> {
        let (mut hosts, others): (VecDeque<_>, _) =
            std::mem::take(&mut self.hosts).into_iter().partition(|host| host.header.call == Some(call));
        self.hosts = others;
        for host in &mut hosts {
            self.reread(host)?;
        }
        let intent = self.intent.take_if(|intent| intent.header.call == Some(call));
        let ticker = Arc::clone(self.parts.engines.ticker());
        let run = self.run.as_mut().ok_or_else(|| cannot(sequence, "the chain does not begin with a start"))?;
        let _running = ticker.running();
        let answers = Answers { hosts, intent, interrupted };
        let mut ran = block_on(run.execute(&self.parts.engines, waiting, answers, self.options.fresh));
        if let Some(left) = ran.unused.pop_front()
            && ran.differs.is_none()
            && !ran.is_out_of_time
        {
            let what = "a recorded host call was not made";
            ran.differs = Some(HostDifference { what, recorded: Some(left), made: None });
        }
        Ok(ran)
    }

    /// Reports that a host call is not the one of the intent before it.
    pub(super) fn report_intent_difference(&mut self, event: &Event<'_>, intent: &Intent) -> Result<(), Error> {
        let call = event.header.call.unwrap_or(u64::MAX);
        let waiting = self.waiting.get(&call).map(|waiting| waiting.event.clone());
        let waiting =
            waiting.ok_or_else(|| cannot(event.header.sequence, "the call that it belongs to was not queued"))?;
        self.report_difference(|replay| {
            let data = Some(intent.arguments.as_slice());
            let recorded = replay.formatter.describe(&Event { header: intent.header.clone(), hash: event.hash, data });
            let replayed = replay.formatter.describe(event);
            Difference {
                sequence: intent.header.sequence,
                what: "the host call after an intent is not the intended one".to_owned(),
                before: replay.report.calls,
                call: (call, replay.formatter.describe(&waiting.event())),
                recorded: Some(recorded),
                replayed: Some(replayed),
            }
        });
        Ok(())
    }

    /// Describes a host call that differs.
    fn host_difference(
        &mut self,
        at: &Header,
        (call, waiting): (u64, &WaitingCall),
        differs: HostDifference,
    ) -> Difference {
        let HostDifference { what, recorded, made } = differs;
        let call = (call, self.formatter.describe(&waiting.event.event()));
        let sequence = recorded.as_ref().map_or(at.sequence, |recorded| recorded.header.sequence);
        let mut described = |header: &Header, function: Option<u32>, kind: Kind, data: &[u8]| {
            let header = Header { kind: kind as u8, function, ..header.clone() };
            self.formatter.describe(&Event { header, hash: Hash::default(), data: Some(data) })
        };
        let replayed = made.map(|(interface, function, arguments)| {
            let functions = self.run.as_ref().map(|run| run.functions.as_slice()).unwrap_or_default();
            let index =
                functions.iter().position(|known| known.function == function && meets(&known.interface, &interface));
            let made = described(at, index.map(|index| index as u32), Kind::Intent, &arguments);
            EventText { kind: Kind::Host.to_string(), function: Some(format!("{interface}/{function}")), ..made }
        });
        let recorded = recorded.map(|recorded| {
            let data = encode(&recorded.call).unwrap_or_default();
            described(&recorded.header, recorded.header.function, Kind::Host, &data)
        });
        Difference { sequence, what: what.to_owned(), before: self.report.calls, call, recorded, replayed }
    }

    /// Replaces the recorded reference to a part of a chain by the bytes that the host call returned. Such a result is
    /// not recorded twice: the chain has the range and a digest, and the part is read again.
    pub(super) fn reread(&self, host: &mut RecordedHostCall) -> Result<(), Error> {
        let HostResult::Chain { from, to, head, digest } = &host.call.result else { return Ok(()) };
        let (from, to) = (*from, *to);
        let newest: Hash = head.as_ref().try_into().unwrap_or_default();
        let part = read_part(self.path, &newest, from, to)?;
        let found = encodings(&part).into_iter().find(|bytes| sha3([bytes.as_slice()])[..] == digest[..]);
        let what = "it read a part of a chain that is missing or has changed";
        host.call.result = HostResult::Value(found.ok_or_else(|| cannot(host.header.sequence, what))?.into());
        Ok(())
    }
}
