//! `theater validate`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value as Json, json};
use theater_plugin_api::service::SERVICE_CHILDREN;
use theater_runtime::core::{Core, Options, Prepared, PreparedHandler, Sink};
use theater_runtime::manifest::{Ceilings, Manifest};
use theater_runtime::support::error::Error;
use theater_runtime::support::executor;

use super::{CommandResult, Common, Grants, Settings, short};

const EXAMPLES: &str = "Examples:
  theater validate my-actor.toml
  theater validate --permissions ceilings.toml my-actor.toml
  theater validate --set port=9000 -o json my-actor.toml";

/// Check a manifest, its component and its handlers without starting anything, and show the permissions of each handler.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Validate {
    /// The manifest
    manifest: PathBuf,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    grants: Grants,
}

/// The permission ceilings of children, if the actor can start any.
fn child_ceilings(prepared: &Prepared) -> Vec<(&String, &Json)> {
    let starts_actors = |handler: &PreparedHandler| {
        handler.plugin.descriptor.services.iter().any(|(service, _)| service == SERVICE_CHILDREN)
    };
    match &prepared.below {
        Ceilings::Only(all) if prepared.handlers.iter().any(starts_actors) => all.iter().collect(),
        _ => Vec::new(),
    }
}

/// A body may take at most one part in this many of `memory_bytes`: the guest holds the body, the parsed data and the response.
const BODY_SHARE: u64 = 8;

/// Warns of handlers that accept bodies for which the actor's memory may not suffice.
fn warn_large_bodies(manifest: &Manifest, prepared: &Prepared) {
    const KEY: &str = "max_body_bytes";
    for handler in &prepared.handlers {
        let default = || handler.plugin.descriptor.config.get("properties")?.get(KEY)?.get("default")?.as_u64();
        let most = handler.config.get(KEY).and_then(serde_json::Value::as_u64).or_else(default);
        let memory = manifest.limits.memory_bytes;
        if let Some(most) = most.filter(|most| *most > memory / BODY_SHARE) {
            let handler = &handler.handler_type;
            tracing::warn!(
                "handler {handler:?} accepts bodies of {KEY} = {most}, but memory_bytes = {memory}: a guest that parses a body \
                 may need many times its size, and fails if it runs out of memory; lower {KEY} or raise memory_bytes"
            );
        }
    }
}

impl Validate {
    /// Runs the command.
    pub fn run(self, common: &Common) -> CommandResult {
        executor::init(1);
        let manifest = Manifest::read(&self.manifest, &self.settings.values())?;
        self.settings.warn_unused(&[&self.manifest]);
        // A temporary folder: a running program has locked the usual one.
        let data = std::env::temp_dir().join(format!("theater-validate-{}", std::process::id()));
        let checked = self.check(common, &manifest, data.clone());
        if let Err(error) = std::fs::remove_dir_all(&data) {
            tracing::debug!("{}: {error}", data.display());
        }
        checked
    }

    fn check(&self, common: &Common, manifest: &Manifest, data: PathBuf) -> CommandResult {
        let mut options = Options::new(common.plugins(), data);
        options.sink = Sink::Hashed;
        self.grants.apply(&mut options)?;
        let core = Core::open(options)?;
        let prepared = executor::block_on(core.prepare(manifest, core.top()))?;
        executor::block_on(Core::initial_state(manifest, core.top()))?;
        warn_large_bodies(manifest, &prepared);
        for handler in &prepared.handlers {
            let descriptor = &handler.plugin.descriptor;
            let object = json!({
                "event": "handler", "type": handler.handler_type, "plugin": descriptor.name,
                "version": descriptor.version, "digest": handler.plugin.digest, "config": handler.config,
            });
            common.print_lines(&object, || {
                format!(
                    "handler {}: plugin {} {} ({}), allowed {}",
                    handler.handler_type,
                    descriptor.name,
                    descriptor.version,
                    short(&handler.plugin.digest),
                    handler.config
                )
            });
        }
        for (handler, ceiling) in child_ceilings(&prepared) {
            let object = json!({"event": "children", "type": handler, "ceiling": ceiling});
            common.print_lines(&object, || format!("children, handler {handler}: at most {ceiling}"));
        }
        let component = &prepared.linked.component;
        let object = json!({"event": "valid", "name": manifest.name, "component": component.digest});
        common.print_lines(&object, || {
            format!(
                "{} is valid: actor {}, component {}",
                manifest.path.display(),
                manifest.name,
                short(&component.digest)
            )
        });
        Ok::<_, Error>(ExitCode::SUCCESS)
    }
}
