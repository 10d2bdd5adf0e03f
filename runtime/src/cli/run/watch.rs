//! Periodic checks while `theater run` runs.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use theater_runtime::core::Core;
use theater_runtime::support::executor::{self, Latch};

use crate::cli::{orphans, out, shown};

/// Interval of the checks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Checks every second: plugin files, the data folder, dropped log lines, orphans. Sets `lost` and returns if the data folder is
/// gone.
pub async fn watch(core: Arc<Core>, lost: Arc<Latch>) {
    let mut files = PluginFiles::default();
    let mut orphans = orphans::Reaper::of_first_process();
    while !core.services.stopped.is_set() {
        let of_thread = Arc::clone(&core);
        // The disk may be slow: do not block the executor.
        let check = move || {
            files.check(&of_thread);
            if let Some(orphans) = &mut orphans {
                orphans.reap();
            }
            let is_there = of_thread.has_its_folder();
            (files, orphans, is_there)
        };
        let is_there;
        (files, orphans, is_there) = executor::blocking(check).await;
        if !is_there {
            tracing::error!(
                "the data folder {} was removed or replaced while the program runs: further events could not be recorded, so \
                 the program ends",
                shown(core.data())
            );
            lost.set();
            return;
        }
        match out::newly_dropped() {
            0 => {}
            lines => tracing::warn!("{lines} log lines were dropped: the reader of standard error is too slow"),
        }
        if executor::timeout(INTERVAL, core.services.stopped.wait()).await.is_some() {
            return;
        }
    }
}

/// Logs when the file of a loaded plugin is replaced, once per replacement.
#[derive(Default)]
struct PluginFiles {
    seen: HashMap<PathBuf, Option<SystemTime>>,
}

impl PluginFiles {
    fn check(&mut self, core: &Core) {
        for found in core.plugins().all().filter(|found| found.is_loaded()) {
            let stamp = std::fs::metadata(&found.path).ok().and_then(|data| data.modified().ok());
            let previous = self.seen.insert(found.path.clone(), stamp);
            if previous.is_none() || previous == Some(stamp) {
                continue;
            }
            if let Some(on_disk) = found.replaced_on_disk() {
                let (name, path) = (&found.descriptor.name, shown(&found.path));
                tracing::warn!(
                    "plugin {name:?} ({path}): loaded {}, on disk {on_disk}; the file on disk is used at the next start",
                    found.digest
                );
            }
        }
    }
}
