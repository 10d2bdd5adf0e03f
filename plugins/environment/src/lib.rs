//! The `environment` plugin: reads the environment variables of the host process that the config allows.
//!
//! One rule ([`rule`]) applies to all three functions. A denied variable, a missing one and one that is not UTF-8 look
//! the same, so an actor learns nothing about variables that are not allowed. The variables are read at each call and
//! never cached; nothing in the process changes them.

#![forbid(unsafe_code)]

#[cfg(test)]
mod narrow_tests;
mod rule;

use serde_json::Value;
use theater_plugin_api::{Attachment, Call, Handler, Host, Plugin};

use rule::Rule;

theater_plugin_api::bindings! {
    plugin: Environment,
    handler: Variables,
    name: "environment",
    wit: "../../wit",
    provides: { "theater:simple/environment": { "get-var": read, "list-vars": read, "exists": read } },
    config: "config.schema.json",
}

/// The plugin. It has no state.
pub struct Environment;

impl Plugin for Environment {
    type Handler = Variables;

    fn init(_: Host) -> Result<Self, String> {
        Ok(Self)
    }

    async fn attach(&self, _: Host, attachment: Attachment) -> Result<Variables, String> {
        Ok(Variables { rule: attachment.config()? })
    }

    fn narrow(&self, _: &str, ceiling: &Value, requested: &Value) -> Result<Value, String> {
        rule::narrow(ceiling, requested)
    }
}

/// The variables one actor may read.
pub struct Variables {
    rule: Rule,
}

impl Handler for Variables {}

impl theater::simple::environment::Environment for Variables {
    fn get_var(&self, _: &Call, name: &str) -> Option<String> {
        if self.rule.allows(name) { std::env::var(name).ok() } else { None }
    }

    fn list_vars(&self, _: &Call) -> Vec<(String, String)> {
        if !self.rule.allow_list_all {
            return Vec::new();
        }
        let mut variables: Vec<_> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| self.rule.allows(name))
            .collect();
        // A name may occur twice in the process's list. `getenv` returns the first one, even if its value is not UTF-8.
        variables.sort_by(|(a, _), (b, _)| a.cmp(b));
        variables.dedup_by(|(later, _), (first, _)| later == first);
        variables.into_iter().filter_map(|(name, value)| Some((name, value.into_string().ok()?))).collect()
    }

    fn exists(&self, call: &Call, name: &str) -> bool {
        self.get_var(call, name).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use theater_plugin_api::testing::{FakeHost, attach, block_on};

    /// The results of all three functions. The tests use variables that every run of Cargo sets.
    fn asked(config: Value, name: &str) -> (Option<String>, bool, Vec<(String, String)>) {
        let host = FakeHost::new();
        block_on(async {
            let variables = attach::<Environment>(&host, "environment", config).await.unwrap();
            let value = host.call(&variables, "get-var", &(name,)).await.unwrap();
            let exists = host.call(&variables, "exists", &(name,)).await.unwrap();
            (value, exists, host.call(&variables, "list-vars", &()).await.unwrap())
        })
    }

    /// [environment-2] [environment-6]
    #[test]
    fn an_allowed_variable_is_answered_with_its_value() {
        let name = "theater-plugin-environment".to_owned();
        for config in [json!({ "allowed_vars": ["CARGO_PKG_NAME"] }), json!({ "allowed_prefixes": ["CARGO_PKG_"] })] {
            assert_eq!(asked(config, "CARGO_PKG_NAME"), (Some(name.clone()), true, vec![]));
        }
    }

    /// [environment-3] [environment-4]
    #[test]
    fn a_denied_and_a_missing_variable_look_the_same() {
        let config =
            json!({ "allowed_prefixes": ["CARGO_"], "denied_vars": ["CARGO_PKG_NAME"], "allow_list_all": false });
        for name in ["CARGO_PKG_NAME", "CARGO_THIS_IS_MISSING", "PATH", "", "a=b", "a\0b"] {
            assert_eq!(asked(config.clone(), name), (None, false, vec![]), "{name:?}");
        }
    }

    /// [environment-7]
    #[test]
    fn a_value_that_is_not_utf_8_counts_as_missing() {
        use std::os::unix::ffi::OsStrExt;
        let name = "THEATER_TEST_NOT_UTF_8";
        if std::env::var_os(name).is_some() {
            let config = json!({ "allowed_vars": [name], "allow_list_all": true });
            assert_eq!(asked(config, name), (None, false, vec![]));
            return;
        }
        // Runs this test again, in a process that has such a variable.
        let test = "tests::a_value_that_is_not_utf_8_counts_as_missing";
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        let output = again.args(["--exact", test]).env(name, std::ffi::OsStr::from_bytes(b"\xff")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }

    /// [environment-9]
    #[test]
    fn without_lists_nothing_is_allowed() {
        assert_eq!(asked(json!({ "allow_list_all": true }), "PATH"), (None, false, vec![]));
    }

    /// [environment-1] [environment-5]
    #[test]
    fn the_list_has_the_allowed_ones_sorted() {
        let config = json!({
            "allowed_prefixes": ["CARGO_PKG_"], "denied_vars": ["CARGO_PKG_VERSION"], "allow_list_all": true
        });
        let (_, _, list) = asked(config, "");
        assert!(list.iter().any(|(name, value)| name == "CARGO_PKG_NAME" && value == "theater-plugin-environment"));
        assert!(list.iter().all(|(name, _)| name.starts_with("CARGO_PKG_") && name != "CARGO_PKG_VERSION"));
        assert!(list.is_sorted());
    }
}
