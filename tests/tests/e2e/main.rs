//! End-to-end tests: one binary, a module per topic.

mod abuse;
mod acme;
mod bad_plugins;
mod faults;
mod forks;
mod framework;
mod guests;
mod history;
mod http;
mod journal;
mod keep;
mod machine;
mod messages;
mod mistakes;
mod operator;
mod own_plugins;
mod python;
mod readme;
mod replay;
mod resume;
mod scale;
mod seals;
mod seed;
mod stores;
mod supervision;
mod web;
