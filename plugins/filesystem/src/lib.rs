//! The plugin `filesystem`: files inside one folder, and programs that run in it.
//!
//! | file | what |
//! |---|---|
//! | [`config`] | the config, and how a parent's config limits a child's |
//! | [`jail`] | the sandboxed folder and the file operations in it |
//! | [`programs`] | the programs that an actor may run, with their files |
//! | [`command`] | runs a program in the folder |
//! | [`error`] | the error messages |
//!
//! An example manifest:
//!
//! ```toml
//! [[handlers]]
//! type = "filesystem"
//! config = { path = "site", read = true }
//! # config = { path = "work", read = true, write = true, execute = true, allowed_commands = ["git"] }
//! ```
//!
//! The files are on disk and a handler keeps only its config, so there is no state to recover. Programs run with the
//! rights of the runtime's process and are confined to the folder and `readable_paths`. A program that needs more, such
//! as `nix` (a cache in the home folder, its daemon's socket) or a folder for temporary files, needs `confine = false`,
//! or `HOME` and `TMPDIR` in `env` that point into the folder. With `confine = false`, an actor that may run `sh` may
//! do everything.

#![forbid(unsafe_code)]

mod command;
mod config;
mod error;
mod jail;
#[cfg(test)]
mod narrow_tests;
mod programs;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use blocking::unblock;
use serde_json::Value;
use theater_child_process::Confinement;
use theater_plugin_api::{Attachment, Bytes, Call, Handler, Host, Level, Plugin, Recovered};

use config::{Config, Permission};
use error::Error;
use jail::{Jail, RelativePath};
use programs::Programs;
use theater::simple::filesystem::CommandResult;

theater_plugin_api::bindings! {
    plugin: Filesystem,
    handler: FilesystemHandler,
    name: "filesystem",
    wit: "../../wit",
    provides: { "theater:simple/filesystem": {
        "read-file": async read, "write-file": async effect, "list-files": async read,
        "delete-file": async effect, "create-dir": async effect, "delete-dir": async effect,
        "path-exists": async read, "execute-command": async effect, "execute-nix-command": async effect,
    } },
    config: "config.schema.json",
}

/// The plugin. It needs the host only to find the private folders.
pub struct Filesystem {
    host: Host,
}

impl Plugin for Filesystem {
    type Handler = FilesystemHandler;

    fn init(host: Host) -> Result<Self, String> {
        Ok(Self { host })
    }

    async fn attach(&self, host: Host, attachment: Attachment) -> Result<FilesystemHandler, String> {
        let config: Config = attachment.config()?;
        let private = if config.new_dir { Some(host.data_folder()?) } else { None };
        let opened = unblock(move || {
            let jail = Jail::open(&config, private.as_deref())?;
            let programs = Programs::look_up(&config.allowed_commands);
            let confines = config.execute && config.confine && !programs.is_empty();
            let missing = if confines { theater_child_process::missing() } else { None };
            Ok::<_, Error>((jail, programs, config, missing))
        });
        let (jail, programs, config, missing) = opened.await.map_err(String::from)?;
        if let Some(missing) = missing {
            host.log(Level::Warn, &format!("confine = true: {missing}"));
        }
        Ok(FilesystemHandler { host, jail: Arc::new(jail), programs, config })
    }

    fn narrow(&self, _: &str, ceiling: &Value, requested: &Value) -> Result<Value, String> {
        config::narrow(ceiling, requested)
    }

    const FORGETS: bool = true;

    async fn forget(&self, actor: &str) -> Result<(), String> {
        let folder = private_folder(&self.host.data_folder()?, actor);
        unblock(move || jail::remove_unless_kept(&folder)).await.map_err(String::from)
    }
}

/// Returns the private folder of an actor, below the plugin's data folder.
fn private_folder(plugins: &Path, actor: &str) -> PathBuf {
    plugins.join(actor)
}

/// The handler of one actor, with its folder.
pub struct FilesystemHandler {
    host: Host,
    jail: Arc<Jail>,
    programs: Programs,
    config: Config,
}

impl Handler for FilesystemHandler {
    /// Does nothing: all state is on disk.
    fn recover(&self, _: Recovered<'_>) -> Result<(), String> {
        Ok(())
    }
}

impl FilesystemHandler {
    /// Checks a path and a permission. The path is checked first, so a path that leaves the folder is reported as such
    /// even if the config lacks the permission.
    fn allow(&self, path: &str, permission: Permission) -> Result<RelativePath, Error> {
        let inside = RelativePath::parse(path)?;
        self.config.allow(permission)?;
        Ok(inside)
    }

    /// Checks the call and runs `work` on a thread that may block.
    async fn run_blocking<T: Send + 'static>(
        &self,
        path: &str,
        permission: Permission,
        work: impl FnOnce(&Jail, &RelativePath) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, String> {
        self.host.count(permission.key(), 1.0);
        let inside = self.allow(path, permission).inspect_err(|_| self.host.count("denied", 1.0))?;
        let jail = Arc::clone(&self.jail);
        unblock(move || work(&jail, &inside)).await.map_err(String::from)
    }

    async fn run(&self, dir: &str, program: &str, args: Vec<String>) -> Result<CommandResult, String> {
        self.host.count(Permission::Execute.key(), 1.0);
        let allowed = self.allow(dir, Permission::Execute).and_then(|inside| Ok((inside, self.programs.get(program)?)));
        let (inside, file) = allowed.inspect_err(|_| self.host.count("denied", 1.0))?;
        let jail = Arc::clone(&self.jail);
        let config = self.config.clone();
        let opened = unblock(move || {
            let confinement = config.confine.then(|| confinement(&config, &jail)).transpose()?;
            Ok::<_, Error>((jail.folder(&inside)?, confinement))
        });
        let (folder, confinement) = opened.await?;
        command::run(&self.host, &self.config, file, args, folder, confinement).await.map_err(String::from)
    }
}

/// Returns what a program may reach: the actor's whole folder, writable only if the actor may write.
fn confinement(config: &Config, jail: &Jail) -> Result<Confinement, Error> {
    let readable = config.readable_paths.iter().map(PathBuf::from).collect();
    Ok(Confinement { folders: vec![(jail.root()?, config.write)], readable })
}

impl theater::simple::filesystem::Filesystem for FilesystemHandler {
    async fn read_file(&self, _: &Call, path: String) -> Result<Bytes, String> {
        let most = self.config.max_file_bytes;
        self.run_blocking(&path, Permission::Read, move |jail, inside| jail.read(inside, most)).await.map(Bytes::from)
    }

    async fn write_file(&self, _: &Call, path: String, content: String) -> Result<(), String> {
        let most = self.config.max_file_bytes;
        self.run_blocking(&path, Permission::Write, move |jail, inside| jail.write(inside, content.as_bytes(), most))
            .await
    }

    async fn list_files(&self, _: &Call, path: String) -> Result<Vec<String>, String> {
        self.run_blocking(&path, Permission::Read, Jail::list).await
    }

    async fn delete_file(&self, _: &Call, path: String) -> Result<(), String> {
        self.run_blocking(&path, Permission::Write, Jail::delete_file).await
    }

    async fn create_dir(&self, _: &Call, path: String) -> Result<(), String> {
        self.run_blocking(&path, Permission::Write, Jail::create_dir).await
    }

    async fn delete_dir(&self, _: &Call, path: String) -> Result<(), String> {
        self.run_blocking(&path, Permission::Write, Jail::delete_dir).await
    }

    async fn path_exists(&self, _: &Call, path: String) -> Result<bool, String> {
        self.run_blocking(&path, Permission::Read, Jail::exists).await
    }

    async fn execute_command(
        &self,
        _: &Call,
        dir: String,
        command: String,
        args: Vec<String>,
    ) -> Result<CommandResult, String> {
        self.run(&dir, &command, args).await
    }

    async fn execute_nix_command(&self, _: &Call, dir: String, command: String) -> Result<CommandResult, String> {
        let words = command::split_words(&command)?;
        let args = ["develop", "--command"].into_iter().map(str::to_owned).chain(words);
        self.run(&dir, command::NIX, args.collect()).await
    }
}
