//! The instance of a replay: its host functions answer from the chain.
//!
//! Each host function compares its name and arguments with the next recorded host call and returns the recorded result.
//! The first host call that differs ends the call. Where the recorded host calls of an interrupted call end, the next
//! host call must be the recorded intent, if there is one, and ends the call.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use theater_plugin_api::encoding::Reader;
use wasmtime::component::{Instance, InstancePre, Linker, LinkerInstance};
use wasmtime::{Store, StoreContextMut, UpdateDeadline, format_err};

use theater_chain::interface_name::meets;
use theater_chain::record::{FunctionRecord, HandlerRecord, HostResult, Outcome};
use theater_chain::state_digest::State;
use theater_chain::value_type::Signature;

use crate::actor::remainder::{Intent, RecordedHostCall};
use crate::manifest::Limits;
use crate::replay::past::WaitingCall;
use crate::wasm::component::Component;
use crate::wasm::define::{Define, Defined, define};
use crate::wasm::engine::Engines;
use crate::wasm::fault::OutOfTime;
use crate::wasm::limiter::Limiter;
use crate::wasm::trap::trap_text;
use crate::wasm::values::{Args, CallFrame, Ret, Returned, call_export};

/// How long an interrupted call may run again.
const INTERRUPTED: Duration = Duration::from_secs(1);

/// The recorded host calls of a call, and the intent after them.
pub(super) struct Answers {
    pub(super) hosts: VecDeque<RecordedHostCall>,
    pub(super) intent: Option<Intent>,
    /// The call was interrupted after them.
    pub(super) interrupted: bool,
}

/// The parts and the state of the actor from one start or change of parts to the next.
pub(super) struct ReplayedRun {
    pub(super) component: Arc<Component>,
    pub(super) pre: InstancePre<Guest>,
    pub(super) functions: Vec<FunctionRecord>,
    pub(super) handlers: Vec<HandlerRecord>,
    pub(super) limits: Limits,
    pub(super) state: State,
    /// The instance is kept between calls and rebuilt by a resume.
    pub(super) is_kept: bool,
    pub(super) instance: Option<(Store<Guest>, Instance)>,
}

/// What the store of an instance holds.
pub(super) struct Guest {
    limiter: Limiter,
    limit_ms: u64,
    deadline: Instant,
    /// The answers for the host calls of the running call, in order.
    answers: Answers,
    host_calls: u64,
    differs: Option<HostDifference>,
}

/// A host call that differs from the recorded one.
pub(super) struct HostDifference {
    pub(super) what: &'static str,
    pub(super) recorded: Option<RecordedHostCall>,
    /// Interface, function and arguments of the host call that was made.
    pub(super) made: Option<(String, String, Vec<u8>)>,
}

/// How a re-executed call ended.
pub(super) struct ReplayedCall {
    pub(super) outcome: Outcome,
    pub(super) state: Option<Vec<u8>>,
    pub(super) host_calls: u64,
    pub(super) unused: VecDeque<RecordedHostCall>,
    pub(super) differs: Option<HostDifference>,
    /// It ran out of time before its recorded host calls were used up.
    pub(super) is_out_of_time: bool,
}

impl ReplayedRun {
    /// Re-executes a call, on a new instance when `fresh` is set or there is none.
    pub(super) async fn execute(
        &mut self,
        engines: &Engines,
        waiting: &WaitingCall,
        answers: Answers,
        fresh: bool,
    ) -> ReplayedCall {
        if fresh {
            self.instance = None;
        }
        let interrupted = answers.interrupted;
        let limit = Duration::from_millis(self.limits.run_timeout_ms);
        // Four times the limit: this machine may be slower than the one that recorded.
        let time = if interrupted { INTERRUPTED.min(limit) } else { limit * 4 };
        let (mut store, instance) = match self.instance.take() {
            Some((mut store, instance)) => {
                store.data_mut().answers = answers;
                (store, instance)
            }
            None => {
                let mut store = self.store(engines, answers, time);
                match self.pre.instantiate_async(&mut store).await {
                    Ok(instance) => (store, instance),
                    Err(error) => {
                        let text = format!("could not be instantiated: {}", trap_text(&error));
                        return store.data_mut().ran(Outcome::Trap(text), None);
                    }
                }
            }
        };
        let guest = store.data_mut();
        // Host calls of start functions do not count for the export, as in a live call.
        (guest.host_calls, guest.deadline) = (0, Instant::now() + time);
        store.set_epoch_deadline(1);
        let export = self.component.export(&waiting.interface, &waiting.function);
        let target = export.and_then(|export| {
            instance.get_func(&mut store, export.index).map(|function| (function, export.signature.flat_params()))
        });
        let Some((function, flat)) = target else {
            return store.data_mut().ran(Outcome::Trap("the component has no such export".to_owned()), None);
        };
        let (outcome, state) = match call_export(&mut store, function, flat, self.state.get(), &waiting.params).await {
            Ok(Returned::Ok(state, values)) => (Outcome::Ok(values.into()), state),
            Ok(Returned::Err(text)) => (Outcome::Err(text), None),
            Err(error) => (Outcome::Trap(trap_text(&error)), None),
        };
        let ran = store.data_mut().ran(outcome, state);
        self.instance = Some((store, instance));
        ran
    }

    fn store(&self, engines: &Engines, answers: Answers, time: Duration) -> Store<Guest> {
        let guest = Guest {
            limiter: Limiter::new(&self.limits, None),
            limit_ms: self.limits.run_timeout_ms,
            deadline: Instant::now() + time,
            answers,
            host_calls: 0,
            differs: None,
        };
        let mut store = Store::new(&engines.on_demand, guest);
        store.limiter(|guest| &mut guest.limiter);
        store.set_hostcall_fuel(usize::try_from(self.limits.value_bytes).unwrap_or(usize::MAX));
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|context| {
            let guest = context.data();
            if guest.deadline <= Instant::now() {
                return Err(OutOfTime { limit_ms: guest.limit_ms }.into());
            }
            Ok(UpdateDeadline::Continue(1))
        });
        store
    }
}

/// Links a component to host functions that answer from the chain.
pub(super) fn link(engines: &Engines, component: &Component) -> wasmtime::Result<InstancePre<Guest>> {
    let mut linker = Linker::<Guest>::new(&engines.on_demand);
    for (interface, functions) in component.imports.iter().filter(|(_, functions)| !functions.is_empty()) {
        let mut instance = linker.instance(interface)?;
        for (name, signature) in functions {
            define(signature, FromChain { instance: &mut instance, interface, name, signature })?;
        }
    }
    linker.instantiate_pre(&component.compiled)
}

/// Defines a host function that answers from the chain.
struct FromChain<'a, 'b> {
    instance: &'a mut LinkerInstance<'b, Guest>,
    interface: &'a str,
    name: &'a str,
    signature: &'a Signature,
}

impl Define for FromChain<'_, '_> {
    fn define<const N: usize, const R: usize>(self) -> Defined {
        let (interface, name) = (self.interface.to_owned(), self.name.to_owned());
        let result = self.signature.result.clone();
        self.instance.func_wrap(self.name, move |mut store: StoreContextMut<'_, Guest>, args: Args<N>| {
            let mut frame = args.0;
            let arguments = frame.arguments().concat();
            frame.release();
            let answer = store.data_mut().answer(&interface, &name, arguments)?;
            // Another component may expect a different result type.
            let mut reader = Reader::new(&answer);
            if let Some(result) = &result {
                result.validate(&mut reader)?;
            }
            reader.finish()?;
            frame.replaced(answer);
            Ok(Ret::<CallFrame, R>(frame))
        })
    }
}

impl Guest {
    /// Returns how the running call ended.
    fn ran(&mut self, outcome: Outcome, state: Option<Vec<u8>>) -> ReplayedCall {
        let unused = std::mem::take(&mut self.answers.hosts);
        let out_of_time = matches!(&outcome, Outcome::Trap(text) if text.contains(OutOfTime::BEGINNING));
        let is_out_of_time = self.answers.interrupted && out_of_time;
        ReplayedCall {
            outcome,
            state,
            host_calls: self.host_calls,
            unused,
            differs: self.differs.take(),
            is_out_of_time,
        }
    }

    /// Returns the recorded result, if this is the recorded host call.
    fn answer(&mut self, interface: &str, function: &str, arguments: Vec<u8>) -> wasmtime::Result<Vec<u8>> {
        let is_same = |of: &str, name: &str| name == function && meets(of, interface);
        let Some(recorded) = self.answers.hosts.pop_front() else {
            let what = match self.answers.intent.take() {
                Some(intent) if !is_same(&intent.interface, &intent.function) || intent.arguments != arguments => {
                    "a host call is not the intended one"
                }
                _ if self.answers.interrupted => return Err(format_err!("the call was interrupted here")),
                _ => "a host call was made that the chain does not have",
            };
            return self.differs(what, None, (interface, function, arguments));
        };
        if !is_same(&recorded.interface, &recorded.function) {
            return self.differs("a different host call was made", Some(recorded), (interface, function, arguments));
        }
        if recorded.call.arguments.as_ref() != arguments.as_slice() {
            let what = "a host call was made with different arguments";
            return self.differs(what, Some(recorded), (interface, function, arguments));
        }
        self.host_calls += 1;
        match recorded.call.result {
            HostResult::Value(bytes) => Ok(bytes.into_vec()),
            HostResult::Fault(text) => Err(format_err!("{text}")),
            HostResult::Chain { .. } => Err(format_err!("a part of a chain was not read")),
        }
    }

    /// Ends the call, since it differs from the chain.
    fn differs<T>(
        &mut self,
        what: &'static str,
        recorded: Option<RecordedHostCall>,
        (interface, function, arguments): (&str, &str, Vec<u8>),
    ) -> wasmtime::Result<T> {
        let made = Some((interface.to_owned(), function.to_owned(), arguments));
        self.differs = Some(HostDifference { what, recorded, made });
        Err(format_err!("the replay ends here"))
    }
}
