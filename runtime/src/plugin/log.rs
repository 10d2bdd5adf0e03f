//! Log lines of plugins and actors.

/// The log level with that number in the plugin ABI.
pub(crate) fn level_of(level: u32) -> tracing::Level {
    match level {
        1 => tracing::Level::ERROR,
        2 => tracing::Level::WARN,
        3 => tracing::Level::INFO,
        4 => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    }
}

/// Logs at a level that is only known at run time.
macro_rules! log_at {
    ($level:expr, $($rest:tt)*) => {
        match $crate::plugin::log::level_of($level) {
            tracing::Level::ERROR => tracing::error!($($rest)*),
            tracing::Level::WARN => tracing::warn!($($rest)*),
            tracing::Level::INFO => tracing::info!($($rest)*),
            tracing::Level::DEBUG => tracing::debug!($($rest)*),
            tracing::Level::TRACE => tracing::trace!($($rest)*),
        }
    };
}
pub(crate) use log_at;
