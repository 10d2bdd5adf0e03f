//! Errors with which a call ends that are not the guest's: its time limit, and faults of plugins.

/// The guest exceeded its time limit.
#[derive(Debug, thiserror::Error)]
#[error("the guest ran longer than run_timeout_ms = {limit_ms}")]
pub struct OutOfTime {
    /// The limit, ms.
    pub limit_ms: u64,
}

impl OutOfTime {
    /// The start of the error's text, by which replay recognises it in a chain.
    pub const BEGINNING: &str = "the guest ran longer than run_timeout_ms";
}

/// A plugin failed in a function whose result type has no `err` for it.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub struct PluginFault {
    /// The stable code.
    pub code: String,
    /// What happened.
    pub sentence: String,
}

/// The text of a plugin fault, as the guest or the chain gets it.
pub(super) fn fault_sentence(code: &str, plugin: &str, message: &str) -> String {
    format!("[{code}] plugin {plugin:?}: {message}")
}
