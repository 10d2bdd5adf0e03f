//! A healthy plugin without `bindings!`. A separate macro exports each of its two statics, so that a fixture can change
//! or omit one of them.

use theater_plugin_api::abi::Answer;
use theater_plugin_api::encoding::Reader;
use theater_plugin_api::{Attachment, Call, Dispatch, Handler, Host, Pending, Plugin, ResultBuffer};

/// The plugin, which is also its handler.
pub struct Healthy;

impl Plugin for Healthy {
    type Handler = Self;
    fn init(_: Host) -> Result<Self, String> {
        Ok(Self)
    }
    async fn attach(&self, _: Host, _: Attachment) -> Result<Self, String> {
        Ok(Self)
    }
}

impl Handler for Healthy {}

impl Dispatch for Healthy {
    fn dispatch_sync(&self, _: &Call, function: u32, arguments: Reader<'_>, place: &mut ResultBuffer<'_>) {
        match function {
            0 => echo(arguments, place),
            2 => place.give(&7_u32),
            _ => place.answer(Answer::error("no such function")),
        }
    }
    fn dispatch<'a>(
        &'a self,
        _: &'a Call,
        _: u32,
        arguments: Reader<'_>,
        place: &mut ResultBuffer<'_>,
    ) -> Option<Pending<'a>> {
        echo(arguments, place);
        None
    }
    fn function_name(function: u32) -> &'static str {
        ["bad:plugin/probe@1.0.0/run", "bad:plugin/probe@1.0.0/run-later", "bad:plugin/probe@1.0.0/bare"]
            .get(function as usize)
            .copied()
            .unwrap_or_default()
    }
}

fn echo(mut arguments: Reader<'_>, place: &mut ResultBuffer<'_>) {
    match arguments.value::<(String,)>() {
        Ok((text,)) => place.give(&Ok::<_, String>(text)),
        Err(error) => place.answer(Answer::error(error.to_string())),
    }
}

/// The JSON of a healthy descriptor: `descriptor!("name", "handler:type")`.
#[macro_export]
macro_rules! descriptor {
    ($name:literal, $handler:literal) => {
        concat!(
            r#"{"name":""#,
            $name,
            r#"","version":"1.0.0","services":[],"handlers":[""#,
            $handler,
            r#""],"wit":[[["probe.wit","package bad:plugin@1.0.0; interface probe {"#,
            r#" run: func(text: string) -> result<string, string>;"#,
            r#" run-later: func(text: string) -> result<string, string>;"#,
            r#" bare: func() -> u32; }"]]],"#,
            r#""provides":[{"interface":"bad:plugin/probe@1.0.0","functions":["#,
            r#"{"name":"run","async":false,"effect":"read"},"#,
            r#"{"name":"run-later","async":true,"effect":"read"},"#,
            r#"{"name":"bare","async":false,"effect":"read"}]}],"#,
            r#""calls":[],"config":{"type":"object","additionalProperties":false},"#,
            r#""schemes":[],"commands":[],"ambient":false}"#,
        )
    };
}

/// Exports a section with this JSON, optionally with changed bytes: `section!(json, bytes => bytes[0] = b'X')`.
#[macro_export]
macro_rules! section {
    ($json:expr) => {
        $crate::section!($json, bytes => {});
    };
    ($json:expr, $bytes:ident => $change:expr) => {
        const SECTION: usize = ::theater_plugin_api::descriptor::HEADER + $json.len();
        /// The descriptor.
        #[unsafe(no_mangle)]
        #[unsafe(link_section = ".theater.plugin")]
        #[used]
        pub static THEATER_PLUGIN: [u8; SECTION] = {
            #[allow(unused_mut, reason = "not every change is one")]
            let mut $bytes = ::theater_plugin_api::descriptor::section::<SECTION>($json.as_bytes(), false);
            $change;
            $bytes
        };
    };
}

/// Exports the root module of [`Healthy`].
#[macro_export]
macro_rules! root {
    () => {
        /// The root module; the name is abi_stable's.
        #[unsafe(no_mangle)]
        #[allow(non_upper_case_globals, reason = "abi_stable's name")]
        pub static _1as_0lib_1header_0root_bmodule_bloader: ::theater_plugin_api::__private::__root::LibHeader =
            ::theater_plugin_api::__private::__root::header::<$crate::by_hand::Healthy>();
    };
}
