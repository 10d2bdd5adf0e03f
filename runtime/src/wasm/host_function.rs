//! Defines a plugin's function in a linker: the closure that a guest's call of an import runs.
//!
//! There are three closures, by what a call may have to wait for. All of them first ask for a result that the chain of
//! a previous run has, and make the call only if there is none.

use std::future::ready;
use std::sync::Arc;

use wasmtime::StoreContextMut;
use wasmtime::component::LinkerInstance;

use crate::wasm::define::{Define, Defined};
use crate::wasm::guest::Guest;
use crate::wasm::host_call::record::{flush, record_intent};
use crate::wasm::host_call::resumed::recorded_result;
use crate::wasm::host_call::{Progress, call_sync, start_call};
use crate::wasm::import::Import;
use crate::wasm::values::{Args, CallFrame, Ret};

/// A plugin's function that is to be defined.
pub(super) struct HostFunction<'a, 'b> {
    pub(super) instance: &'a mut LinkerInstance<'b, Guest>,
    pub(super) name: &'a str,
    pub(super) import: Arc<Import>,
}

impl Define for HostFunction<'_, '_> {
    fn define<const N: usize, const R: usize>(self) -> Defined {
        // An effect waits for its intent to be durable, even if the plugin's function is not async.
        if self.import.effect.changes() {
            define_effect::<N, R>(self)
        } else if self.import.is_async {
            define_async::<N, R>(self)
        } else {
            define_sync::<N, R>(self)
        }
    }
}

fn define_effect<const N: usize, const R: usize>(function: HostFunction<'_, '_>) -> Defined {
    let HostFunction { instance, name, import } = function;
    instance.func_wrap_async(name, move |mut store: StoreContextMut<'_, Guest>, args: Args<N>| {
        let import = Arc::clone(&import);
        Box::new(async move {
            let guest = store.data_mut();
            let mut frame = args.0;
            if recorded_result(guest, &import, &mut frame)? {
                return Ok(Ret::<CallFrame, R>(frame));
            }
            record_intent(guest, &import, &mut frame).await?;
            let result = match start_call(guest, &import, frame) {
                Progress::Ended(result) => result,
                Progress::Waits(call) => call.complete(guest, &import).await,
            };
            flush(guest).await?;
            result.map(Ret::<CallFrame, R>)
        })
    })
}

fn define_async<const N: usize, const R: usize>(function: HostFunction<'_, '_>) -> Defined {
    let HostFunction { instance, name, import } = function;
    instance.func_wrap_async(name, move |mut store: StoreContextMut<'_, Guest>, args: Args<N>| {
        let mut frame = args.0;
        match recorded_result(store.data_mut(), &import, &mut frame) {
            Ok(false) => {}
            known => return Box::new(ready(known.map(|_| Ret::<CallFrame, R>(frame)))),
        }
        match start_call(store.data_mut(), &import, frame) {
            // Most calls never wait; a future that could hold one is large.
            Progress::Ended(result) if !store.data().has_unwritten() => {
                Box::new(ready(result.map(Ret::<CallFrame, R>)))
            }
            Progress::Ended(result) => Box::new(async move {
                flush(store.data_mut()).await?;
                result.map(Ret::<CallFrame, R>)
            }),
            Progress::Waits(call) => {
                let import = Arc::clone(&import);
                Box::new(async move {
                    let result = call.complete(store.data_mut(), &import).await;
                    flush(store.data_mut()).await?;
                    result.map(Ret::<CallFrame, R>)
                })
            }
        }
    })
}

fn define_sync<const N: usize, const R: usize>(function: HostFunction<'_, '_>) -> Defined {
    let HostFunction { instance, name, import } = function;
    instance.func_wrap(name, move |mut store: StoreContextMut<'_, Guest>, args: Args<N>| {
        let mut frame = args.0;
        if recorded_result(store.data_mut(), &import, &mut frame)? {
            return Ok(Ret::<CallFrame, R>(frame));
        }
        call_sync(store.data_mut(), &import, frame).map(Ret::<CallFrame, R>)
    })
}
