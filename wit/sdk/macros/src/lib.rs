//! The attributes of `theater-sdk`, which documents and re-exports them. Each is applied to the `impl` of one of
//! its traits and exports the type to the host; see `export.rs` for the expansion.

use proc_macro::TokenStream;

mod export;

use export::{Interface, export};

macro_rules! attributes {
    ($($name:ident exports $export:literal as $trait_name:literal, adapting $adapted:tt;)*) => {$(
        #[doc = concat!("On an `impl ", $trait_name, " for` an actor: exports it.")]
        #[proc_macro_attribute]
        pub fn $name(arguments: TokenStream, item: TokenStream) -> TokenStream {
            let interface = Interface { export: $export, trait_name: $trait_name, adapted: &$adapted };
            export(&interface, &arguments.into(), item.into()).into()
        }
    )*};
}

attributes! {
    actor exports "export_actor" as "Actor", adapting [];
    http_handlers exports "export_http_handlers" as "HttpHandlers", adapting [];
    http_server exports "export_http_server" as "HttpServer", adapting [];
    message_server exports "export_message_server" as "MessageServerClient",
        adapting ["handle_request", "handle_channel_open"];
    process_handlers exports "export_process_handlers" as "ProcessHandlers", adapting [];
    supervisor_handlers exports "export_supervisor_handlers" as "SupervisorHandlers", adapting [];
    websocket_server exports "export_websocket_server" as "WebsocketServer", adapting [];
}
