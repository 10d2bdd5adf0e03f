//! When a top-level actor that ended is restarted.

use toml::de::DeTable;

use crate::manifest::toml_text::TomlText;
use crate::support::error::Error;

/// Which ends of a top-level actor are followed by a restart from its last state. The handler of the parent decides about
/// children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartPolicy {
    /// Which ends are followed by a restart.
    pub restart: Restart,
    /// The number of restarts allowed within the window; after that the next end is final.
    pub max_restarts: u64,
    /// The length of the window, ms.
    pub window_ms: u64,
}

/// The key `restart` of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// After no end.
    Never,
    /// After failures.
    OnFailure,
    /// After failures and after the actor's own shutdown.
    Always,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self { restart: Restart::OnFailure, max_restarts: 3, window_ms: 5_000 }
    }
}

impl TomlText<'_> {
    pub(super) fn restarts(&self, root: &DeTable<'_>) -> Result<RestartPolicy, Error> {
        let mut policy = RestartPolicy::default();
        if let Some(value) = root.get("restart") {
            let choices = [("never", Restart::Never), ("on-failure", Restart::OnFailure), ("always", Restart::Always)];
            policy.restart = self.choice("restart", value, &choices)?;
        }
        if let Some(value) = root.get("max_restarts") {
            policy.max_restarts = self.number("max_restarts", value)?;
        }
        if let Some(value) = root.get("restart_window_ms") {
            policy.window_ms = self.number("restart_window_ms", value)?;
        }
        Ok(policy)
    }
}
