//! Calls of plugins that belong to no handler: loading a plugin, resolving a URL, running an operator's command.

use std::sync::{Arc, Weak};

use serde_json::Value as Json;
use theater_plugin_api::abi::{OK, host_object};

use crate::core::Core;
use crate::manifest::Under;
use crate::plugin::core_services::CoreServices;
use crate::plugin::descriptor::Found;
use crate::plugin::loaded::Plugin;
use crate::plugin::plugin_host::PluginHost;
use crate::support::error::{Error, chain_of};

impl Core {
    /// Returns the bytes that a URL names, from the plugin that resolves its scheme.
    ///
    /// # Errors
    /// No plugin resolves the scheme, or the plugin's error message.
    pub(crate) async fn resolve(
        self: &Arc<Self>,
        scheme: &str,
        url: &str,
        under: Under<'_>,
    ) -> Result<Vec<u8>, String> {
        let found = self.plugins.all().find(|found| found.descriptor.schemes.iter().any(|known| known == scheme));
        let Some(found) = found else {
            return Err(format!("no plugin in {} resolves {scheme}:// URLs", self.plugins.folder().display()));
        };
        let plugin = self.load(found).map_err(|error| chain_of(&error))?;
        let handler_type = found.descriptor.handlers.first().map_or(scheme, String::as_str);
        let ceiling = under.ceilings.of(handler_type).to_string();
        let answer = plugin.object.resolve(url, under.parent, &ceiling).await;
        if answer.status == OK { Ok(answer.bytes.to_vec()) } else { Err(answer.sentence()) }
    }

    /// Runs an operator's command of a plugin. Returns nothing when no plugin has that command.
    ///
    /// # Errors
    /// The plugin cannot be loaded, or its error message.
    pub async fn command(self: &Arc<Self>, name: &str, arguments: &Json) -> Option<Result<Json, Error>> {
        let found =
            self.plugins.all().find(|found| found.descriptor.commands.iter().any(|(known, _)| known == name))?;
        let run = async {
            let plugin = self.load(found)?;
            let answer = plugin.object.command(name, &arguments.to_string()).await;
            let refused = |reason| Error::Command { name: name.to_owned(), reason };
            if answer.status != OK {
                return Err(refused(answer.sentence()));
            }
            serde_json::from_slice(&answer.bytes).map_err(|error| refused(error.to_string()))
        };
        Some(run.await)
    }

    /// Loads a plugin, unless it is loaded already, and registers it with the watchdog.
    pub(super) fn load(self: &Arc<Self>, found: &Found) -> Result<Arc<Plugin>, Error> {
        let copies = self.data().join("plugins");
        let mut first = false;
        let plugin = found.load(&copies, |descriptor| {
            first = true;
            let core: Weak<dyn CoreServices> = Arc::downgrade(&(Arc::clone(self) as Arc<dyn CoreServices>));
            host_object(Arc::new(PluginHost::new(core, self.services.stopped.clone(), &descriptor.name)))
        })?;
        if first {
            self.watch.know(&plugin);
        }
        Ok(plugin)
    }
}
