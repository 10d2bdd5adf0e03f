//! `theater store ...`: runs an operator's command and returns JSON.
//!
//! An operator may use every store by its id, including those that actors own, and without quotas. `-` means standard
//! input or output of the process that runs the plugin. Relative paths are resolved against that process's working
//! directory.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::caller::Caller;
use crate::error::Error;
use crate::hash::Hash;
use crate::label_update::LabelUpdate;
use crate::names::{ContentName, check_label};
use crate::repository::Repository;
use crate::tables::StoreRow;

const USAGE: [(&str, &str); 9] = [
    ("new [NAME]", "creates a shared store; without NAME, its id is generated"),
    ("ls", "lists all stores, each with the actor that owns it; a shared store has no owner"),
    (
        "ls STORE",
        "lists the contents, each with the labels that hold it as their newest reference or as an older reference",
    ),
    (
        "put STORE FILE [--label LABEL]",
        "stores a file (- is standard input); a shared STORE is created if it is missing",
    ),
    ("get STORE HASH|LABEL FILE", "writes a content to a file (- is standard output)"),
    ("label STORE LABEL HASH", "adds a content to a label as its newest reference"),
    ("rm STORE [LABEL|HASH]", "removes a store, a label, or a content that no label of the store holds"),
    ("gc [--unlabelled STORE]", "removes what crashes left behind, or the contents of STORE that no label of it holds"),
    ("help", "prints this list"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    args: Vec<String>,
}

/// Runs the command given as `{"args": [...]}`: the arguments after `theater store`.
///
/// # Errors
/// An error message for the operator.
pub fn run(repository: &Repository, arguments: &Value) -> Result<Value, String> {
    let Arguments { args } = Arguments::deserialize(arguments).map_err(|error| {
        format!("the command store takes {{\"args\": [...]}}, the arguments after `theater store`: {error}")
    })?;
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let answer = match *words.as_slice() {
        ["new"] => new(repository, None),
        ["new", name] => new(repository, Some(name)),
        ["ls"] => list_stores(repository),
        ["ls", store] => list(repository, store),
        ["put", store, file] => put(repository, store, file, None),
        ["put", store, file, "--label", label] => put(repository, store, file, Some(label)),
        ["get", store, target, file] => get(repository, store, target, file),
        ["label", store, label, hash] => label_content(repository, store, label, hash),
        ["rm", store] => remove_store(repository, store),
        ["rm", store, target] => remove(repository, store, target),
        ["gc"] => sweep(repository),
        ["gc", "--unlabelled", store] => drop_unlabelled(repository, store),
        ["help" | "--help" | "-h"] => Ok(help()),
        _ => return Err(wrong(&words)),
    };
    answer.map_err(String::from)
}

fn operator() -> Arc<Caller> {
    Arc::new(Caller::Operator)
}

fn wrong(words: &[&str]) -> String {
    let word = words.first().copied().unwrap_or_default();
    let of = |form: &&str| form.split(' ').next() == Some(word);
    let forms = USAGE.iter().map(|(form, _)| *form);
    let mut usage: Vec<&str> = forms.clone().filter(of).collect();
    let known = !usage.is_empty();
    if !known {
        usage.extend(forms);
    }
    let usage = usage.iter().map(|form| format!("`theater store {form}`")).collect::<Vec<_>>().join(", ");
    match word {
        "" => format!("a command is missing; usage: {usage}"),
        _ if known => format!("{word} does not take these arguments; usage: {usage}"),
        _ => format!("there is no command {word:?}; usage: {usage}"),
    }
}

fn help() -> Value {
    USAGE.iter().map(|(form, what)| json!({ "usage": format!("theater store {form}"), "what": what })).collect()
}

fn new(repository: &Repository, name: Option<&str>) -> Result<Value, Error> {
    Ok(json!({ "store": repository.create(&operator(), name)? }))
}

fn list_stores(repository: &Repository) -> Result<Value, Error> {
    let one = |(store, row): (String, StoreRow)| {
        let owner = (!row.owner.is_empty()).then_some(row.owner);
        json!({ "store": store, "owner": owner, "contents": row.contents, "bytes": row.bytes })
    };
    Ok(repository.stores()?.into_iter().map(one).collect())
}

fn list(repository: &Repository, store: &str) -> Result<Value, Error> {
    let listed = repository.listed(store)?.into_iter();
    Ok(listed
        .map(|(hash, content)| {
            let (labels, older_of) = (content.labels, content.older_of);
            json!({ "hash": hash.to_string(), "bytes": content.bytes, "labels": labels, "older_of": older_of })
        })
        .collect())
}

fn put(repository: &Repository, store: &str, file: &str, label: Option<&str>) -> Result<Value, Error> {
    label.map_or(Ok(()), check_label)?;
    let content = read(file)?;
    let update = label.map_or(LabelUpdate::Unlabelled, |label| LabelUpdate::Newest(label.to_owned()));
    // A name means a shared store, which is created on first use here too. An id must be that of an existing store.
    if Uuid::try_parse(store).is_err() {
        match repository.create(&operator(), Some(store)) {
            Ok(_) | Err(Error::Exists(_)) => (),
            Err(error) => return Err(error),
        }
    }
    let hash = repository.put(&operator(), store, &content, update)?.to_string();
    Ok(json!({ "store": store, "hash": hash, "bytes": content.len(), "label": label }))
}

fn read(file: &str) -> Result<Vec<u8>, Error> {
    if file != "-" {
        return fs::read(file).map_err(Error::file("read", Path::new(file)));
    }
    let mut content = Vec::new();
    std::io::stdin().read_to_end(&mut content).map_err(Error::file("read", Path::new("standard input")))?;
    Ok(content)
}

fn get(repository: &Repository, store: &str, target: &str, file: &str) -> Result<Value, Error> {
    let content = repository.get_named(&Caller::Operator, store, &ContentName::of_word(target)?)?;
    let to = Path::new(if file == "-" { "/dev/stdout" } else { file });
    fs::write(to, &content).map_err(Error::file("write", to))?;
    // When the content itself goes to standard output, nothing else is printed there.
    let answer =
        json!({ "store": store, "hash": Hash::of(&content).to_string(), "bytes": content.len(), "file": file });
    Ok(if file == "-" { Value::Null } else { answer })
}

fn label_content(repository: &Repository, store: &str, label: &str, hash: &str) -> Result<Value, Error> {
    repository.add_to_label(&operator(), store, LabelUpdate::Newest(label.to_owned()), Hash::parse(hash)?)?;
    Ok(json!({ "store": store, "label": label, "hash": hash }))
}

fn remove_store(repository: &Repository, store: &str) -> Result<Value, Error> {
    let freed = repository.drop_store(store)?;
    Ok(json!({ "store": store, "contents_freed": freed }))
}

fn remove(repository: &Repository, store: &str, target: &str) -> Result<Value, Error> {
    match ContentName::of_word(target)? {
        ContentName::Label(label) => {
            if repository.newest(&Caller::Operator, store, &label)?.is_none() {
                return Err(Error::NoLabel { store: store.to_owned(), label });
            }
            repository.remove_label(&operator(), store, &label)?;
            Ok(json!({ "store": store, "label": label }))
        }
        ContentName::Hash(hash) => {
            if !repository.exists(&Caller::Operator, store, &hash)? {
                return Err(Error::NoContent { store: store.to_owned(), hash });
            }
            let freed = repository.drop_contents(store, vec![hash])?;
            Ok(json!({ "store": store, "hash": target, "contents_freed": freed }))
        }
    }
}

fn sweep(repository: &Repository) -> Result<Value, Error> {
    let swept = repository.sweep()?;
    Ok(json!({ "contents_freed": swept.contents, "bytes_freed": swept.bytes, "half_written": swept.half_written }))
}

fn drop_unlabelled(repository: &Repository, store: &str) -> Result<Value, Error> {
    let listed = repository.listed(store)?.into_iter();
    let unlabelled = listed.filter(|(_, content)| content.labels.is_empty() && content.older_of.is_empty());
    let hashes: Vec<Hash> = unlabelled.map(|(hash, _)| hash).collect();
    let removed = hashes.len();
    let freed = repository.drop_contents(store, hashes)?;
    Ok(json!({ "store": store, "removed": removed, "contents_freed": freed }))
}
