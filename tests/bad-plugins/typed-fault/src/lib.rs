//! Broken: `read` panics, and its functions return a variant as their error. `save` is idempotent, and its first call
//! does not return.

#![forbid(unsafe_code)]

use std::fs::OpenOptions;
use std::future::pending;
use std::io::Write as _;

use bad::typed_fault::files::{Error, Files, FilesFunctions};
use theater_plugin_api::{Attachment, Call, Handler, Host, Plugin};

theater_plugin_api::bindings! {
    plugin: Broken,
    handler: Broken,
    name: "bad-typed-fault",
    wit: "wit",
    handlers: ["bad:typed-fault"],
    provides: { "bad:typed-fault/files@1.0.0": { "read": read, "save": async idempotent, "all": pure } },
    fault: io,
}

struct Broken;

impl Plugin for Broken {
    type Handler = Broken;
    fn init(_: Host) -> Result<Self, String> {
        Ok(Broken)
    }
    async fn attach(&self, _: Host, _: Attachment) -> Result<Broken, String> {
        Ok(Broken)
    }
}

impl Handler for Broken {}

impl FilesFunctions for Broken {
    fn read(&self, _: &Call, path: &str) -> Result<String, Error> {
        panic!("a panic in read of {path}")
    }
    async fn save(&self, call: &Call, path: String) -> Result<(), Error> {
        let is_first = add(&path, &call.key()).map_err(|error| Error::Io(error.to_string()))?;
        if is_first { pending().await } else { Ok(()) }
    }
    fn all(&self, _: &Call, of: Files) -> Result<Files, Error> {
        let bad::shared_2_0_0::names::Name { first, last } = &of.new;
        let is_known = of.old == format!("{first} {last}") && of.sizes.12 > 0;
        if is_known { Ok(of) } else { Err(Error::Gone) }
    }
}

/// Appends a line to a file and returns whether it is the first one.
fn add(path: &str, line: &str) -> std::io::Result<bool> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let is_first = file.metadata()?.len() == 0;
    writeln!(file, "{line}")?;
    Ok(is_first)
}
