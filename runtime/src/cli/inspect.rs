//! `theater inspect`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use theater_chain::interface_name::meets;
use theater_runtime::plugin::discovery::Plugins;
use theater_runtime::support::error::{ComponentProblem, Error};
use theater_runtime::wasm::component::Components;
use theater_runtime::wasm::engine::Engines;

use super::{CommandResult, Common};

const EXAMPLES: &str = "Examples:
  theater inspect my_actor.wasm
  theater inspect -o json my_actor.wasm";

/// Show a component: its WIT, the handlers it needs, a manifest to start from.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Inspect {
    /// The component
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
}

impl Inspect {
    /// Runs the command.
    pub fn run(self, common: &Common) -> CommandResult {
        let bytes = std::fs::read(&self.file).map_err(|error| Error::ComponentRead {
            place: None,
            url: self.file.display().to_string(),
            reason: error.to_string(),
        })?;
        let engines = Engines::new(64 * 1024 * 1024)?;
        let component = Components::default().get(&engines.on_demand, false, &self.file, bytes)?;
        let wit = wit_of(&component.bytes)
            .map_err(|reason| Error::Component { path: self.file.clone(), what: ComponentProblem::NotWasm(reason) })?;
        let plugins = Plugins::find(&common.plugins())?;
        let (mut handlers, mut unknown, mut wasi) = (Vec::new(), Vec::new(), Vec::new());
        for (import, _) in component.imports.iter().filter(|(_, functions)| !functions.is_empty()) {
            match plugins.by_interface(import) {
                Some(found) if found.descriptor.ambient => {}
                Some(found) => handlers.extend(found.descriptor.handlers.first().cloned()),
                None if import.starts_with("wasi:") => wasi.push(import.clone()),
                None => unknown.push(import.clone()),
            }
        }
        for found in plugins.all() {
            let called = found
                .descriptor
                .calls
                .iter()
                .any(|called| component.exports.iter().any(|export| meets(&export.interface, &called.interface)));
            handlers.extend(found.descriptor.handlers.first().filter(|_| called).cloned());
        }
        handlers.sort();
        handlers.dedup();
        let manifest = manifest_for(&self.file, &handlers);
        let object = json!({
            "digest": component.digest, "wit": wit, "handlers": handlers, "unknown": unknown, "wasi": wasi,
            "manifest": manifest,
        });
        common.print_lines(&object, || {
            let mut text = format!("# sha256 {}\n\n{wit}\n", component.digest);
            for import in &unknown {
                text.push_str(&format!(
                    "# imports {import}, which no plugin in {} offers\n",
                    plugins.folder().display()
                ));
            }
            if !wasi.is_empty() {
                text.push_str(&format!("# imports {}; actors have no WASI:\n{WITHOUT_WASI}", wasi.join(", ")));
            }
            text.push_str(&format!("# a manifest to start from:\n\n{manifest}"));
            text
        });
        Ok(ExitCode::SUCCESS)
    }
}

const WITHOUT_WASI: &str = "#   Rust: build for wasm32-unknown-unknown (wasm32-wasip2's std pulls WASI in)
#   C, Zig: target wasm32-freestanding
#   JavaScript: jco componentize --disable all (QuickJS backend: --backend-qjs-stub-wasi --backend-qjs-disable-async)
#   Python: componentize-py --stub-wasi
";

fn wit_of(bytes: &[u8]) -> Result<String, String> {
    let decoded = wit_component::decode(bytes).map_err(|error| format!("{error:#}"))?;
    let mut printer = wit_component::WitPrinter::default();
    let others: Vec<_> =
        decoded.resolve().packages.iter().map(|(id, _)| id).filter(|id| *id != decoded.package()).collect();
    printer.print(decoded.resolve(), decoded.package(), &others).map_err(|error| format!("{error:#}"))?;
    Ok(String::from(printer.output))
}

fn manifest_for(file: &std::path::Path, handlers: &[String]) -> String {
    let stem = file.file_stem().map_or_else(|| "my-actor".to_owned(), |stem| stem.to_string_lossy().replace('_', "-"));
    let mut text = format!("name = {stem:?}\nversion = \"0.1.0\"\ncomponent_path = {:?}\n", file.display().to_string());
    for handler in handlers {
        text.push_str(&format!("\n[[handlers]]\ntype = {handler:?}\nconfig = {{}}\n"));
    }
    text
}
