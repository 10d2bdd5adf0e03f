//! Broken: answers with bytes that do not encode the function's result, in the core's buffer and in its own.

#![forbid(unsafe_code)]

use theater_plugin_api::abi::Answer;
use theater_plugin_api::encoding::{Output, Reader};
use theater_plugin_api::{Attachment, Call, Dispatch, Handler, Host, Pending, Plugin, ResultBuffer};

theater_plugin_api::bindings! {
    plugin: Broken,
    handler: Typed,
    name: "bad-wrong-bytes",
    wit: "../wit",
    handlers: ["bad:wrong-bytes"],
    provides: { "bad:plugin/probe@1.0.0": { "run": read, "run-later": async read, "bare": read } },
}

/// The handler type for `bindings!`, which is never constructed: the plugin's actual handler is [`Untyped`].
enum Typed {}

impl Handler for Typed {}

impl bad::plugin::probe::Probe for Typed {
    fn run(&self, _: &Call, _: &str) -> Result<String, String> {
        match *self {}
    }
    async fn run_later(&self, _: &Call, _: String) -> Result<String, String> {
        match *self {}
    }
    fn bare(&self, _: &Call) -> u32 {
        match *self {}
    }
}

struct Broken;

impl Plugin for Broken {
    type Handler = Untyped;
    fn init(_: Host) -> Result<Self, String> {
        Ok(Self)
    }
    async fn attach(&self, _: Host, _: Attachment) -> Result<Untyped, String> {
        Ok(Untyped)
    }
}

struct Untyped;

impl Handler for Untyped {}

impl Dispatch for Untyped {
    fn dispatch_sync(&self, _: &Call, function: u32, _: Reader<'_>, place: &mut ResultBuffer<'_>) {
        place.write(&bytes(function));
    }
    fn dispatch<'a>(
        &'a self,
        _: &'a Call,
        function: u32,
        _: Reader<'_>,
        place: &mut ResultBuffer<'_>,
    ) -> Option<Pending<'a>> {
        place.answer(Answer::ok(bytes(function)));
        None
    }
    fn function_name(_: u32) -> &'static str {
        ""
    }
}

/// A case that a result does not have, an extra byte after a result, or a truncated number.
fn bytes(function: u32) -> Vec<u8> {
    match function {
        0 => vec![7],
        1 => vec![0, 2, b'o', b'k', 0],
        _ => vec![0x80],
    }
}
