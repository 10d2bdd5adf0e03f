//! JSON schemas that the messages to an actor must match, per receiving function.

use jsonschema::Validator;
use serde::Deserialize;
use serde_json::Value;

/// The maximum length, in characters, of the description of a mismatch, which may quote the message.
const LONGEST: usize = 400;

/// The schemas as in the config: a schema, or a list of them, per function.
#[derive(Debug, Default, Deserialize)]
#[serde(
    default,
    rename_all = "kebab-case",
    deny_unknown_fields,
    expecting = "an object with a schema, or a list of schemas, per function"
)]
pub(crate) struct SchemaTexts {
    handle_send: Option<Value>,
    handle_request: Option<Value>,
    handle_channel_open: Option<Value>,
    handle_channel_message: Option<Value>,
}

/// The compiled schemas.
#[derive(Debug, Default)]
pub(crate) struct Schemas {
    pub(crate) send: Schema,
    pub(crate) request: Schema,
    pub(crate) channel_open: Schema,
    pub(crate) channel_message: Schema,
}

/// The schemas for the messages of one function. Without any, a message may be any bytes.
#[derive(Debug, Default)]
pub(crate) struct Schema(Vec<Validator>);

impl Schemas {
    /// Compiles the schemas.
    ///
    /// # Errors
    /// Returns a sentence with the function whose schema is invalid.
    pub(crate) fn new(texts: &SchemaTexts) -> Result<Self, String> {
        Ok(Self {
            send: Schema::new("handle-send", texts.handle_send.as_ref())?,
            request: Schema::new("handle-request", texts.handle_request.as_ref())?,
            channel_open: Schema::new("handle-channel-open", texts.handle_channel_open.as_ref())?,
            channel_message: Schema::new("handle-channel-message", texts.handle_channel_message.as_ref())?,
        })
    }
}

impl Schema {
    fn new(function: &str, text: Option<&Value>) -> Result<Self, String> {
        let compiled = listed(text).into_iter().map(|schema| {
            jsonschema::validator_for(schema)
                .map_err(|error| format!("schemas.{function} is not a JSON schema: {}", shortened(&error.to_string())))
        });
        Ok(Self(compiled.collect::<Result<_, _>>()?))
    }

    /// Checks a message against all schemas.
    ///
    /// # Errors
    /// Returns what does not match.
    pub(crate) fn check(&self, message: &[u8]) -> Result<(), String> {
        if self.0.is_empty() {
            return Ok(());
        }
        let value: Value = serde_json::from_slice(message)
            .map_err(|error| format!("it is not JSON: {error}; JSON that fits is needed"))?;
        for validator in &self.0 {
            if let Some(error) = validator.iter_errors(&value).next() {
                let at = error.instance_path().to_string();
                let at = if at.is_empty() { String::new() } else { format!("at {at}: ") };
                return Err(format!("{at}{}", shortened(&error.to_string())));
            }
        }
        Ok(())
    }
}

/// Returns the schemas as a list. A schema is an object or a bool, so an array can only be a list of schemas.
fn listed(text: Option<&Value>) -> Vec<&Value> {
    match text {
        None => Vec::new(),
        Some(Value::Array(list)) => list.iter().collect(),
        Some(one) => vec![one],
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Combines the schemas of the ceiling and of the request: a message must match all of them.
///
/// # Errors
/// Returns a sentence if one of the two is not an object.
pub(crate) fn narrow(ceiling: &Value, requested: &Value) -> Result<Option<Value>, String> {
    let object = |config: &Value| match config.get("schemas") {
        None => Ok(None),
        Some(Value::Object(schemas)) => Ok(Some(schemas.clone())),
        Some(_) => Err("schemas is not an object".to_owned()),
    };
    let (mut narrowed, below) = match (object(ceiling)?, object(requested)?) {
        (Some(above), Some(below)) => (above, below),
        (one, other) => return Ok(one.or(other).map(Value::Object)),
    };
    for (function, own) in below {
        let mut all: Vec<_> = listed(narrowed.get(&function)).into_iter().cloned().collect();
        for schema in listed(Some(&own)) {
            if !all.contains(schema) {
                all.push(schema.clone());
            }
        }
        let all = if all.len() == 1 { all.remove(0) } else { Value::Array(all) };
        narrowed.insert(function, all);
    }
    Ok(Some(Value::Object(narrowed)))
}
