//! `[chain]`: how the chain of an actor is written and retained.

use theater_chain::journal::Sync;
use toml::de::DeValue;

use crate::manifest::instance_mode::InstanceMode;
use crate::manifest::toml_text::{TomlText, Value};
use crate::support::error::Error;

/// The table `[chain]` of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainConfig {
    /// How durable events are.
    pub sync: Sync,
    /// The minimum number of events between snapshots. Snapshots are taken between calls.
    pub snapshot_every: u64,
    /// Which data of the chain is retained.
    pub keep: Keep,
    /// Whether a resumed actor repeats a host call with an effect whose outcome a crash left unknown; if not, the call
    /// returns `err`.
    pub retry_effects: bool,
}

/// Which data of a chain is retained. Headers always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// All data.
    All,
    /// The data of calls is deleted once a later snapshot covers it.
    Snapshots,
}

impl Default for ChainConfig {
    fn default() -> Self {
        Self { sync: Sync::default(), snapshot_every: 1_000, keep: Keep::All, retry_effects: false }
    }
}

impl TomlText<'_> {
    pub(super) fn chain(&self, value: &Value<'_>, instance: InstanceMode) -> Result<ChainConfig, Error> {
        let table = self.table("chain", value)?;
        self.known(table, &["sync", "snapshot_every", "keep", "retry_effects"], Some("[chain]"))?;
        let mut chain = ChainConfig::default();
        if let Some(value) = table.get("sync") {
            let choices = [("none", Sync::None), ("batch", Sync::Batch), ("always", Sync::Always)];
            chain.sync = self.choice("sync", value, &choices)?;
        }
        if let Some(value) = table.get("snapshot_every") {
            chain.snapshot_every = self.number("snapshot_every", value)?;
            if chain.snapshot_every == 0 {
                return Err(self.bad("snapshot_every", value, "0 events are no distance", "write a number above 0"));
            }
        }
        if let Some(value) = table.get("keep") {
            chain.keep = self.choice("keep", value, &[("all", Keep::All), ("snapshots", Keep::Snapshots)])?;
            if chain.keep == Keep::Snapshots && instance == InstanceMode::Kept {
                let help = "write keep = \"all\", or leave instance = \"kept\" out";
                return Err(self.bad("keep", value, "an instance that is kept has no snapshots", help));
            }
        }
        if let Some(value) = table.get("retry_effects") {
            let DeValue::Boolean(flag) = value.get_ref() else {
                return Err(self.wrong("retry_effects", value, "true or false"));
            };
            chain.retry_effects = *flag;
        }
        Ok(chain)
    }
}
