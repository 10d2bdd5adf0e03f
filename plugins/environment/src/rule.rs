//! Which variables an actor may read, and how that is narrowed for child actors.

use serde::Deserialize;
use serde_json::Value;
use theater_plugin_api::narrow::{self, Rule as Narrowing};

/// The handler's config; `config.schema.json` says what each key means.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Rule {
    pub allowed_vars: Vec<String>,
    pub allowed_prefixes: Vec<String>,
    pub denied_vars: Vec<String>,
    pub allow_list_all: bool,
}

impl Rule {
    /// Whether the variable `name` may be read.
    pub fn allows(&self, name: &str) -> bool {
        !self.denied_vars.iter().any(|denied| denied == name) && self.names(name)
    }

    fn names(&self, name: &str) -> bool {
        self.allowed_vars.iter().any(|allowed| allowed == name) || self.covers(name)
    }

    fn covers(&self, name: &str) -> bool {
        self.allowed_prefixes.iter().any(|prefix| name.starts_with(prefix))
    }
}

/// The part of `requested` that `ceiling` allows: exactly the variables that both rules allow. Names on one side that a
/// prefix on the other side covers are kept. Of two prefixes where one starts with the other, the longer is kept.
///
/// # Errors
/// An error message if a value has the wrong type.
pub fn narrow(ceiling: &Value, requested: &Value) -> Result<Value, String> {
    let rules = [("denied_vars", Narrowing::Refusals), ("allow_list_all", Narrowing::Permission)];
    let mut narrowed = narrow::object(&rules, ceiling, requested)?;
    if ceiling.is_null() {
        return Ok(narrowed);
    }
    let (above, below) = (rule(ceiling)?, rule(requested)?);
    if let Some(keys) = narrowed.as_object_mut() {
        keys.insert("allowed_vars".to_owned(), Value::from(common_vars(&above, &below)));
        keys.insert("allowed_prefixes".to_owned(), Value::from(common_prefixes(&above, &below)));
    }
    Ok(narrowed)
}

fn rule(config: &Value) -> Result<Rule, String> {
    if config.is_null() { Ok(Rule::default()) } else { Rule::deserialize(config).map_err(|error| error.to_string()) }
}

fn common_vars(above: &Rule, below: &Rule) -> Vec<String> {
    let asked = below.allowed_vars.iter().filter(|name| above.names(name));
    let given = above.allowed_vars.iter().filter(|name| below.covers(name) && !below.allowed_vars.contains(name));
    asked.chain(given).cloned().collect()
}

fn common_prefixes(above: &Rule, below: &Rule) -> Vec<String> {
    let asked = below.allowed_prefixes.iter().filter(|prefix| above.covers(prefix));
    let given =
        above.allowed_prefixes.iter().filter(|prefix| below.covers(prefix) && !below.allowed_prefixes.contains(prefix));
    asked.chain(given).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(ceiling: Value, requested: Value, vars: &[&str], prefixes: &[&str]) {
        let narrowed = narrow(&ceiling, &requested).unwrap();
        assert_eq!((&narrowed["allowed_vars"], &narrowed["allowed_prefixes"]), (&json!(vars), &json!(prefixes)));
    }

    /// [environment-1]
    #[test]
    fn a_denial_beats_a_name_and_a_prefix() {
        let rule = Rule {
            allowed_vars: vec!["A".into()],
            allowed_prefixes: vec!["B_".into()],
            denied_vars: vec!["A".into(), "B_1".into()],
            allow_list_all: false,
        };
        let allowed: Vec<_> =
            ["A", "B_1", "B_2", "B_", "B", "b_2"].into_iter().filter(|name| rule.allows(name)).collect();
        assert_eq!(allowed, ["B_2", "B_"]);
    }

    /// [environment-10]
    #[test]
    fn a_child_may_read_what_both_rules_allow() {
        check(json!({ "allowed_vars": ["A", "B"] }), json!({ "allowed_vars": ["B", "C"] }), &["B"], &[]);
        check(json!({ "allowed_prefixes": ["X_"] }), json!({ "allowed_vars": ["X_1", "Y"] }), &["X_1"], &[]);
        check(json!({ "allowed_vars": ["X_1", "Y"] }), json!({ "allowed_prefixes": ["X_"] }), &["X_1"], &[]);
        check(json!({ "allowed_prefixes": ["X_"] }), json!({ "allowed_prefixes": ["X_Y_", "Z"] }), &[], &["X_Y_"]);
        check(json!({ "allowed_prefixes": ["X_Y_"] }), json!({ "allowed_prefixes": ["X_"] }), &[], &["X_Y_"]);
    }

    /// [environment-9]
    #[test]
    fn a_missing_list_on_either_side_grants_nothing() {
        check(json!({}), json!({ "allowed_vars": ["A"], "allowed_prefixes": ["X_"] }), &[], &[]);
        check(json!({ "allowed_vars": ["A"], "allowed_prefixes": ["X_"] }), Value::Null, &[], &[]);
    }

    /// [environment-10]
    #[test]
    fn denials_add_up_and_listing_needs_both() {
        let ceiling = json!({ "denied_vars": ["A"], "allow_list_all": true });
        let narrowed = narrow(&ceiling, &json!({ "denied_vars": ["B"], "allow_list_all": true })).unwrap();
        assert_eq!((&narrowed["denied_vars"], &narrowed["allow_list_all"]), (&json!(["A", "B"]), &json!(true)));
        assert_eq!(narrow(&ceiling, &json!({})).unwrap()["allow_list_all"], false);
        assert!(narrow(&ceiling, &json!({ "denied_vars": 1 })).unwrap_err().contains("denied_vars"));
    }

    #[test]
    fn without_a_ceiling_the_request_stands() {
        let requested = json!({ "allowed_vars": ["A"] });
        assert_eq!(narrow(&Value::Null, &requested), Ok(requested.clone()));
    }
}
