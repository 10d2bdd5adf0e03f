//! Creates handlers and calls their functions as the core does.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use theater_encoding as encoding;
use theater_plugin_abi::{Answer, OK, PANIC};

use crate::panic_guard::{self, Guarded};
use crate::plugin::{Attachment, Dispatch, Handler, Plugin, Recovered, no_such_function};
use crate::result_buffer::ResultBuffer;
use crate::testing::fake_host::FakeHost;

/// Initialises a plugin and creates its handler for the actor of `host`.
///
/// # Errors
/// The error of `init` or `attach`.
pub async fn attach<P: Plugin>(host: &FakeHost, handler_type: &str, config: Value) -> Result<Arc<P::Handler>, String> {
    let plugin = P::init(FakeHost::new().host())?;
    attach_to(&plugin, host, handler_type, config).await
}

/// Creates a handler of `plugin` for the actor of `host`. Each actor needs its own fake host.
///
/// # Errors
/// The error of `attach`.
pub async fn attach_to<P: Plugin>(
    plugin: &P,
    host: &FakeHost,
    handler_type: &str,
    config: Value,
) -> Result<Arc<P::Handler>, String> {
    let attachment = Attachment { handler_type: handler_type.to_owned(), config, ceiling: Value::Null };
    plugin.attach(host.host(), attachment).await.map(Arc::new)
}

impl FakeHost {
    /// Calls a function of the handler, named as in WIT (`get-var`) or in full (`theater:simple/environment/get-var`),
    /// with a tuple of its arguments.
    ///
    /// # Errors
    /// A fault, as the core would report it: there is no such function, arguments or result do not have its types, or
    /// it panicked.
    pub async fn call<H: Dispatch, R: DeserializeOwned>(
        &self,
        handler: &Arc<H>,
        function: &str,
        arguments: &impl Serialize,
    ) -> Result<R, String> {
        let number = number_of(H::function_name, function)?;
        let arguments = encoding::encode(arguments).map_err(|error| error.to_string())?;
        let answer = self.call_number(handler, number, &arguments).await;
        match answer.status {
            OK => {
                let mut reader = encoding::Reader::with_tail(&answer.bytes, &answer.tail);
                let value = reader.value().and_then(|value| reader.finish().map(|()| value));
                value.map_err(|error| format!("the result does not decode: {error}"))
            }
            _ => Err(answer.sentence()),
        }
    }

    /// Calls function number `function` of the descriptor with encoded arguments.
    pub async fn call_number<H: Dispatch>(&self, handler: &Arc<H>, function: u32, arguments: &[u8]) -> Answer {
        let panicked = |message| Answer::with(PANIC, message);
        let call = self.caller();
        let arguments = encoding::Reader::new(arguments);
        // Short results fit into the buffer and long ones do not, as with the core.
        let mut room = [0; 64];
        let mut result = ResultBuffer::new(&mut room);
        let ended = panic_guard::catch(|| handler.dispatch_sync(&call, function, arguments, &mut result));
        let answer = ended.map_or_else(panicked, |()| result.into_answer());
        if answer.status == OK || answer.sentence() != no_such_function(function).sentence() {
            return answer;
        }
        let mut result = ResultBuffer::new(&mut room);
        let started = panic_guard::catch(|| handler.dispatch(&call, function, arguments, &mut result));
        let answer = started.map(|pending| pending.ok_or_else(|| result.into_answer()));
        match answer {
            Ok(Ok(pending)) => Guarded::new(pending, panicked).await,
            Ok(Err(answer)) => answer,
            Err(message) => panicked(message),
        }
    }

    /// Passes the handler a recorded call of one of its functions, or of an export that it calls, as the core does when
    /// the actor resumes.
    ///
    /// # Errors
    /// There is no such function, or the error of the handler.
    pub fn recover<H: Dispatch>(
        &self,
        handler: &Arc<H>,
        function: &str,
        arguments: &impl Serialize,
        result: &impl Serialize,
    ) -> Result<(), String> {
        let (function, is_export) = match number_of(H::function_name, function) {
            Ok(number) => (H::function_name(number), false),
            Err(_) => (H::export_name(number_of(H::export_name, function)?), true),
        };
        let arguments = encoding::encode(arguments).map_err(|error| error.to_string())?;
        let result = encoding::encode(result).map_err(|error| error.to_string())?;
        Handler::recover(&**handler, Recovered { function, is_export, arguments: &arguments, result: &result })
    }
}

/// The number of the function whose name in `names` is `function` or ends with it after a slash.
fn number_of(names: fn(u32) -> &'static str, function: &str) -> Result<u32, String> {
    (0..)
        .map(|number| (number, names(number)))
        .take_while(|(_, name)| !name.is_empty())
        .find(|(_, name)| name.strip_suffix(function).is_some_and(|rest| rest.is_empty() || rest.ends_with('/')))
        .map(|(number, _)| number)
        .ok_or_else(|| format!("the plugin has no function {function}"))
}
