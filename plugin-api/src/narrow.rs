//! Building blocks for [`Plugin::narrow`](crate::Plugin::narrow): lists of permissions, numbers and flags.
//!
//! A ceiling of `Null` means "everything" (a top-level actor), so the request is granted unchanged.

use std::path::Path;

use serde_json::{Map, Value};

/// Grants the request if there is no ceiling or the two are equal, and otherwise nothing (`{}`).
#[must_use]
pub fn equal_only(ceiling: &Value, requested: &Value) -> Value {
    if ceiling.is_null() || ceiling == requested { requested.clone() } else { Value::Object(Map::new()) }
}

/// How one key of a config is narrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A list of permissions: the entries that both sides have. A side without the key grants nothing.
    Powers,
    /// A list of absolute paths, each of which grants the paths below it: the paths that both sides grant. A side
    /// without the key grants nothing. The result always has the key.
    Paths,
    /// A list of refusals: the entries that either side has.
    Refusals,
    /// A number: the smaller one. A side without the key has the default.
    Smaller(u64),
    /// A number: the larger one, which is more restrictive. A side without the key has the default.
    Larger(u64),
    /// A flag that grants a permission: true only if it is true on both sides.
    Permission,
    /// Not a permission, such as a port to listen on: the value of the request.
    Free,
}

/// Narrows an object key by key. Keys without a rule are omitted.
///
/// # Errors
/// A sentence with the key whose value has the wrong type.
///
/// ```
/// # use theater_plugin_api::narrow::{Rule, object};
/// # use serde_json::json;
/// let rules = [("hosts", Rule::Powers), ("most", Rule::Smaller(10))];
/// let narrowed = object(&rules, &json!({"hosts": ["a"], "most": 3}), &json!({"hosts": ["a", "b"]})).unwrap();
/// assert_eq!(narrowed, json!({"hosts": ["a"], "most": 3}));
/// ```
pub fn object(rules: &[(&str, Rule)], ceiling: &Value, requested: &Value) -> Result<Value, String> {
    if ceiling.is_null() {
        return Ok(requested.clone());
    }
    let mut narrowed = Map::new();
    for (key, rule) in rules {
        let (above, below) = (ceiling.get(key), requested.get(key));
        let value = match rule {
            Rule::Powers => match (above, below) {
                (Some(above), Some(below)) => Some(intersection(key, above, below)?),
                _ => None,
            },
            Rule::Paths => Some(match (above, below) {
                (Some(above), Some(below)) => common_paths(key, above, below)?,
                _ => Value::Array(Vec::new()),
            }),
            Rule::Refusals => match (above, below) {
                (None, None) => None,
                (Some(one), None) | (None, Some(one)) => Some(one.clone()),
                (Some(above), Some(below)) => Some(union(key, above, below)?),
            },
            Rule::Smaller(default) => {
                let (above, below) = (number(key, above, *default)?, number(key, below, *default)?);
                Some(Value::from(above.min(below)))
            }
            Rule::Larger(default) => {
                let (above, below) = (number(key, above, *default)?, number(key, below, *default)?);
                Some(Value::from(above.max(below)))
            }
            Rule::Permission => Some(Value::from(flag(key, above)? && flag(key, below)?)),
            Rule::Free => below.cloned(),
        };
        if let Some(value) = value {
            narrowed.insert((*key).to_owned(), value);
        }
    }
    Ok(Value::Object(narrowed))
}

fn list<'a>(key: &str, value: &'a Value) -> Result<&'a Vec<Value>, String> {
    value.as_array().ok_or_else(|| format!("{key} is not a list"))
}

fn intersection(key: &str, above: &Value, below: &Value) -> Result<Value, String> {
    let above = list(key, above)?;
    Ok(list(key, below)?.iter().filter(|item| above.contains(item)).cloned().collect())
}

fn common_paths(key: &str, above: &Value, below: &Value) -> Result<Value, String> {
    let paths = |value| -> Result<Vec<&str>, String> {
        let texts = list(key, value)?.iter().map(|path| path.as_str().ok_or_else(|| format!("{key} has no paths")));
        texts.collect()
    };
    let (above, below) = (paths(above)?, paths(below)?);
    let is_in = |path: &str, all: &[&str]| all.iter().any(|folder| Path::new(path).starts_with(folder));
    let mut common: Vec<_> = below.iter().filter(|path| is_in(path, &above)).copied().collect();
    let more: Vec<_> = above.iter().filter(|path| is_in(path, &below) && !common.contains(path)).copied().collect();
    common.extend(more);
    Ok(Value::from(common))
}

fn union(key: &str, above: &Value, below: &Value) -> Result<Value, String> {
    let mut all = list(key, above)?.clone();
    for item in list(key, below)? {
        if !all.contains(item) {
            all.push(item.clone());
        }
    }
    Ok(Value::Array(all))
}

fn number(key: &str, value: Option<&Value>, default: u64) -> Result<u64, String> {
    value.map_or(Ok(default), |value| value.as_u64().ok_or_else(|| format!("{key} is not a number of 0 or more")))
}

fn flag(key: &str, value: Option<&Value>) -> Result<bool, String> {
    value.map_or(Ok(false), |value| value.as_bool().ok_or_else(|| format!("{key} is not true or false")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn narrowing_never_allows_what_either_side_does_not() {
        let rules = [
            ("vars", Rule::Powers),
            ("denied", Rule::Refusals),
            ("most", Rule::Smaller(100)),
            ("least", Rule::Larger(0)),
            ("all", Rule::Permission),
            ("port", Rule::Free),
        ];
        let ceiling = json!({"vars": ["A", "B"], "denied": ["X"], "most": 50, "least": 5, "all": true, "port": 1});
        let requested = json!({"vars": ["B", "C"], "denied": ["Y"], "all": true, "port": 2});
        let narrowed = object(&rules, &ceiling, &requested).unwrap();
        assert_eq!(
            narrowed,
            json!({"vars": ["B"], "denied": ["X", "Y"], "most": 50, "least": 5, "all": true, "port": 2})
        );
        assert_eq!(object(&rules, &json!({}), &requested).unwrap().get("vars"), None);
        let paths = [("paths", Rule::Paths)];
        let ceiling = json!({ "paths": ["/a", "/b/c", "/d"] });
        let requested = json!({ "paths": ["/a/x", "/ab", "/b", "/e", "/d"] });
        let narrowed = object(&paths, &ceiling, &requested).unwrap();
        assert_eq!(narrowed, json!({ "paths": ["/a/x", "/d", "/b/c"] }));
        assert_eq!(object(&paths, &json!({}), &requested).unwrap(), json!({ "paths": [] }));
        assert!(object(&rules, &json!({"most": "x"}), &requested).unwrap_err().contains("most"));
    }
}
