//! The lowest floor: the executor, timers, memory budgets, files and errors. It uses no other floor.

pub mod budget;
pub mod error;
pub mod executor;
pub mod files;
pub mod lock;
pub mod log_throttle;
pub mod open_files;
pub mod timer;
