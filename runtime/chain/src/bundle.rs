//! `chain export --bundle`: writes a self-contained data folder with one chain and all objects that it refers to.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use crate::data_dir::check_format;
use crate::error::Error;
use crate::event::Id;
use crate::journal::export::export;
use crate::journal::segment::write_private;
use crate::objects::Objects;
use crate::record::Created;
use crate::verify::{self, created};

/// The content of a bundle that was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bundle {
    /// The number of events of the chain.
    pub events: u64,
    /// The number of objects.
    pub objects: u64,
    /// Size of the journal and the objects, in bytes.
    pub bytes: u64,
    /// Objects that the chain refers to and the data folder does not have.
    pub missing: Vec<Missing>,
}

/// An object that is not in a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Its SHA-256.
    pub digest: String,
    /// A description of the object.
    pub what: String,
    /// Why it is missing.
    pub reason: String,
}

/// Writes the chain of an actor and the objects that it refers to to the folder `to`.
///
/// # Errors
/// Those of reading, and `J0007`.
pub fn bundle(path: &Path, actor: Id, objects: &Path, to: &Path) -> Result<Bundle, Error> {
    let unwritable = |source| Error::Bundle { path: to.to_owned(), source };
    let journal = export(path, actor)?;
    let (events, referenced) = references(path, actor)?;
    create_folders(to).map_err(unwritable)?;
    let mut bundle = Bundle { events, bytes: journal.len() as u64, ..Bundle::default() };
    let (from, into) = (Objects::new(objects), Objects::new(to));
    for (digest, what) in referenced {
        match from.get(&digest) {
            Ok(bytes) => {
                into.put_known(&digest, &bytes).map_err(unwritable)?;
                bundle.objects += 1;
                bundle.bytes += bytes.len() as u64;
            }
            Err(error) => {
                let what = what.into_iter().collect::<Vec<_>>().join(" and ");
                bundle.missing.push(Missing { digest, what, reason: error.to_string() });
            }
        }
    }
    write_private(&to.join("journal/00000001.log"), &journal).map_err(unwritable)?;
    check_format(to)?;
    Ok(bundle)
}

/// Returns the number of events of the chain, and the objects that it refers to with their descriptions.
fn references(path: &Path, actor: Id) -> Result<(u64, BTreeMap<String, BTreeSet<String>>), Error> {
    let (mut events, mut named) = (0, BTreeMap::<_, BTreeSet<_>>::new());
    verify::read(path, |event| {
        if event.header.actor == actor {
            events += 1;
            for (digest, what) in created(event).iter().flat_map(of_start) {
                named.entry(digest).or_default().insert(what);
            }
        }
    })?;
    Ok((events, named))
}

/// The objects that a start refers to.
fn of_start(created: &Created) -> Vec<(String, String)> {
    let setup = &created.setup;
    let wit = |plugin: &str| format!("the WIT of plugin {plugin:?}");
    let mut all = vec![
        (setup.manifest.clone(), "the manifest".to_owned()),
        (setup.component.clone(), "the component".to_owned()),
    ];
    all.extend(setup.handlers.iter().map(|handler| (handler.wit.clone(), wit(&handler.plugin))));
    all.extend(created.init_state.iter().map(|state| (state.clone(), "an initial state".to_owned())));
    all
}

/// Creates the folder and those below, or uses an empty folder. Only this user can read them (mode 0700).
fn create_folders(to: &Path) -> io::Result<()> {
    let is_empty = match std::fs::read_dir(to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        entries => entries?.next().is_none(),
    };
    if !is_empty {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the folder exists and is not empty"));
    }
    for folder in [to.to_owned(), to.join("journal"), to.join("objects")] {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    }
    std::fs::set_permissions(to, PermissionsExt::from_mode(0o700))
}
