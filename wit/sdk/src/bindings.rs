//! Bindings to the WIT: one world for all imports, and one world per exported interface, so that an actor exports
//! only the interfaces that it has an attribute for. The linker merges the worlds of a component.
#![allow(missing_docs, reason = "generated; interfaces and their functions have the docs of the WIT")]

/// Everything an actor may import.
pub mod imports {
    wit_bindgen::generate!({
        path: "..",
        inline: "
            package theater-sdk:bindings;
            world imports {
                import theater:simple/environment;
                import theater:simple/filesystem;
                import theater:simple/http-client;
                import theater:simple/http-framework;
                import theater:simple/http-types;
                import theater:simple/message-server-host;
                import theater:simple/process;
                import theater:simple/random;
                import theater:simple/runtime;
                import theater:simple/store;
                import theater:simple/supervisor;
                import theater:simple/timing;
                import theater:simple/types;
                import theater:simple/websocket-types;
            }
        ",
        additional_derives: [PartialEq],
        generate_unused_types: true,
        generate_all,
    });
}

/// For actors that export `actor`.
pub mod actor {
    wit_bindgen::generate!({
        path: "..",
        inline: "
            package theater-sdk:bindings;
            world export-actor { export theater:simple/actor; }
        ",
        default_bindings_module: "theater_sdk::bindings::actor",
        export_macro_name: "export_actor",
        pub_export_macro: true,
        generate_all,
    });
}

/// For actors that export `http-handlers`.
pub mod http_handlers {
    wit_bindgen::generate!({
        path: "..",
        inline: "
            package theater-sdk:bindings;
            world export-http-handlers { export theater:simple/http-handlers; }
        ",
        with: {
            "theater:simple/http-framework": crate::http_framework,
            "theater:simple/http-types": crate::http_types,
            "theater:simple/websocket-types": crate::websocket_types,
        },
        default_bindings_module: "theater_sdk::bindings::http_handlers",
        export_macro_name: "export_http_handlers",
        pub_export_macro: true,
        generate_all,
    });
}

/// For actors that export `http-server`.
pub mod http_server {
    wit_bindgen::generate!({
        path: "..",
        inline: "
            package theater-sdk:bindings;
            world export-http-server { export theater:simple/http-server; }
        ",
        with: {
            "theater:simple/http-types": crate::http_types,
        },
        default_bindings_module: "theater_sdk::bindings::http_server",
        export_macro_name: "export_http_server",
        pub_export_macro: true,
        generate_all,
    });
}

/// For actors that export `message-server-client`.
pub mod message_server {
    wit_bindgen::generate!({
        path: "..",
        inline: "
            package theater-sdk:bindings;
            world export-message-server-client { export theater:simple/message-server-client; }
        ",
        with: {
            "theater:simple/types": crate::types,
        },
        default_bindings_module: "theater_sdk::bindings::message_server",
        export_macro_name: "export_message_server",
        pub_export_macro: true,
        generate_all,
    });
}

/// For actors that export `process-handlers`.
pub mod process_handlers {
    wit_bindgen::generate!({
        path: "..",
        inline: "
            package theater-sdk:bindings;
            world export-process-handlers { export theater:simple/process-handlers; }
        ",
        default_bindings_module: "theater_sdk::bindings::process_handlers",
        export_macro_name: "export_process_handlers",
        pub_export_macro: true,
        generate_all,
    });
}

/// For actors that export `supervisor-handlers`.
pub mod supervisor_handlers {
    wit_bindgen::generate!({
        path: "..",
        inline: "
            package theater-sdk:bindings;
            world export-supervisor-handlers { export theater:simple/supervisor-handlers; }
        ",
        with: {
            "theater:simple/types": crate::types,
        },
        default_bindings_module: "theater_sdk::bindings::supervisor_handlers",
        export_macro_name: "export_supervisor_handlers",
        pub_export_macro: true,
        generate_all,
    });
}

/// For actors that export `websocket-server`.
pub mod websocket_server {
    wit_bindgen::generate!({
        path: "..",
        inline: "
            package theater-sdk:bindings;
            world export-websocket-server { export theater:simple/websocket-server; }
        ",
        default_bindings_module: "theater_sdk::bindings::websocket_server",
        export_macro_name: "export_websocket_server",
        pub_export_macro: true,
        generate_all,
    });
}

pub use actor::export_actor;
pub use http_handlers::export_http_handlers;
pub use http_server::export_http_server;
pub use message_server::export_message_server;
pub use process_handlers::export_process_handlers;
pub use supervisor_handlers::export_supervisor_handlers;
pub use websocket_server::export_websocket_server;
