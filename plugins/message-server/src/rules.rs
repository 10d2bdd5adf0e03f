//! Allow lists: which actors an actor may reach, and which may reach it. They contain names and ids; a missing list
//! means every actor of this runtime.

use serde::Deserialize;
use serde_json::Value;

/// The allow lists of one actor.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct AllowLists {
    allow_from: Option<Vec<String>>,
    allow_to: Option<Vec<String>>,
}

/// One side of a check: an actor and its lists.
#[derive(Clone, Copy)]
pub(crate) struct Party<'a> {
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
    /// How messages name the actor.
    pub(crate) label: &'a str,
    pub(crate) rules: &'a AllowLists,
}

fn allows(list: Option<&Vec<String>>, other: Party<'_>) -> bool {
    list.is_none_or(|list| list.iter().any(|entry| *entry == other.name || *entry == other.id))
}

/// Checks that `sender` may reach `receiver`, by the lists of both.
///
/// # Errors
/// Returns a sentence with the entry to add.
pub(crate) fn check(sender: Party<'_>, receiver: Party<'_>) -> Result<(), String> {
    let (from, to) = (sender.label, receiver.label);
    if !allows(sender.rules.allow_to.as_ref(), receiver) {
        return Err(format!(
            "{from} may not reach {to}: add {:?} to allow_to in the config of {from}'s handler message-server, and of its \
             parent's if that has the list too",
            receiver.name
        ));
    }
    if !allows(receiver.rules.allow_from.as_ref(), sender) {
        return Err(format!(
            "{to} accepts nothing from {from}: add {:?} to allow_from in the config of {to}'s handler message-server, and \
             of its parent's if that has the list too",
            sender.name
        ));
    }
    Ok(())
}

/// Narrows the list `key`: the common entries if both sides have the list, else the list of the one that has it.
///
/// # Errors
/// Returns a sentence with the key.
pub(crate) fn narrow(key: &str, ceiling: &Value, requested: &Value) -> Result<Option<Value>, String> {
    let list = |config: &Value| match config.get(key) {
        None => Ok(None),
        Some(Value::Array(list)) => Ok(Some(list.clone())),
        Some(_) => Err(format!("{key} is not a list")),
    };
    Ok(match (list(ceiling)?, list(requested)?) {
        (Some(above), Some(below)) => Some(below.into_iter().filter(|entry| above.contains(entry)).collect()),
        (one, other) => one.or(other).map(Value::Array),
    })
}
