//! The config, how a parent's config limits a child's, and the checks before a program starts.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{Mode, OFlags};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use theater_child_process::{Confinement, find};
use theater_plugin_api::narrow::{self, Rule};

use crate::cut::OutputCutMode;
use crate::env::is_allowed;
use crate::error::Error;
use crate::theater::simple::process::{OutputMode, ProcessConfig};

const MAX_PROCESSES: u64 = 10;
const MAX_OUTPUT_BUFFER: u64 = 1 << 20;

/// The handler's config; `config.schema.json` documents the keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Config {
    pub allowed_programs: Vec<String>,
    pub allowed_paths: Vec<String>,
    pub max_processes: u64,
    pub max_output_buffer: u64,
    pub inherit_env: bool,
    pub allowed_env: Vec<String>,
    pub confine: bool,
    pub readable_paths: Vec<String>,
    #[serde(skip)]
    files: BTreeMap<String, Option<PathBuf>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            allowed_programs: Vec::new(),
            allowed_paths: Vec::new(),
            max_processes: MAX_PROCESSES,
            max_output_buffer: MAX_OUTPUT_BUFFER,
            inherit_env: false,
            allowed_env: Vec::new(),
            confine: false,
            readable_paths: Vec::new(),
            files: BTreeMap::new(),
        }
    }
}

impl Config {
    /// Looks up the files of the allowed programs in `PATH`.
    pub fn looked_up(mut self) -> Self {
        let search = std::env::var_os("PATH");
        self.files = self.allowed_programs.iter().map(|name| (name.clone(), find(name, search.as_deref()))).collect();
        self
    }

    /// Returns the file of an allowed program, which may be given as it is listed or by its file.
    fn file(&self, program: &str) -> Result<&Path, Error> {
        match self.files.get(program) {
            Some(Some(file)) => Ok(file),
            Some(None) => Err(Error::NoProgram(program.to_owned())),
            None => {
                let file = self.files.values().flatten().find(|file| file.as_os_str() == program);
                file.map(PathBuf::as_path).ok_or_else(|| Error::Program(program.to_owned()))
            }
        }
    }

    /// Returns what programs may reach; `None` if they are not confined.
    fn confinement(&self) -> Option<Confinement> {
        // A folder that is missing or leads elsewhere is left out: programs cannot run in it either.
        let open = |path: &String| self.open(path).ok().map(|folder| (folder, true));
        let folders = self.allowed_paths.iter().filter_map(open);
        let readable = self.readable_paths.iter().map(PathBuf::from);
        self.confine.then(|| Confinement { folders: folders.collect(), readable: readable.collect() })
    }

    /// Opens the folder to run in: `cwd`, or the first of `allowed_paths`.
    fn folder(&self, cwd: Option<String>) -> Result<OwnedFd, Error> {
        self.open(&cwd.or_else(|| self.allowed_paths.first().cloned()).ok_or(Error::NoPath)?)
    }

    /// Opens an allowed folder. The path of the open folder is checked, so that no symbolic link can lead out.
    fn open(&self, path: &str) -> Result<OwnedFd, Error> {
        let failed = |source| Error::Folder { path: path.to_owned(), source };
        if path.contains('\0') {
            return Err(Error::Text("cwd"));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // Checked before the open as well: the error must not reveal whether a folder that is not allowed exists.
        let below = |path: &Path| self.allowed_paths.iter().any(|allowed| path.starts_with(allowed));
        if !below(Path::new(path)) || path.split('/').any(|part| part == "..") {
            return Err(Error::Path(path.to_owned()));
        }
        let folder = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
        let folder = File::from(folder);
        let real = std::fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&folder)));
        if below(&real.map_err(failed)?) { Ok(folder.into()) } else { Err(Error::Path(path.to_owned())) }
    }
}

/// Returns the part of `requested` that `ceiling` allows: permissions that both have, and folders that are in one of
/// each. For the reader of the result, it also lists the files to which the names in `allowed_programs` resolve.
///
/// # Errors
/// Returns a sentence about a value of the wrong type.
pub fn narrow(ceiling: &Value, requested: &Value) -> Result<Value, String> {
    let rules = [
        ("allowed_programs", Rule::Powers),
        ("max_processes", Rule::Smaller(MAX_PROCESSES)),
        ("max_output_buffer", Rule::Smaller(MAX_OUTPUT_BUFFER)),
        ("inherit_env", Rule::Permission),
        ("allowed_env", Rule::Powers),
        ("readable_paths", Rule::Powers),
    ];
    let mut narrowed = match narrow::object(&rules, ceiling, requested)? {
        Value::Object(narrowed) => narrowed,
        _ => Map::new(),
    };
    if !ceiling.is_null() {
        let (above, below) = (config(ceiling)?, config(requested)?);
        // A restriction, not a permission: it applies if either side has it.
        narrowed.insert("confine".to_owned(), json!(above.confine || below.confine));
        let (above, below) = (above.allowed_paths, below.allowed_paths);
        let inner = below.iter().filter(|path| above.iter().any(|outer| is_below(outer, path)));
        let outer =
            above.iter().filter(|path| !below.contains(path) && below.iter().any(|outer| is_below(outer, path)));
        narrowed.insert("allowed_paths".to_owned(), json!(inner.chain(outer).collect::<Vec<_>>()));
    }
    let files = config(&Value::Object(narrowed.clone()))?.looked_up().files;
    if !files.is_empty() {
        narrowed.insert("programs".to_owned(), json!(files));
    }
    Ok(Value::Object(narrowed))
}

fn config(value: &Value) -> Result<Config, String> {
    if value.is_null() { Ok(Config::default()) } else { Config::deserialize(value).map_err(|error| error.to_string()) }
}

/// Returns whether a folder is another one or below it, by whole path segments. A path with `..` never is.
fn is_below(outer: &str, inner: &str) -> bool {
    let climbs = |path: &str| path.split('/').any(|part| part == "..");
    !climbs(outer) && !climbs(inner) && Path::new(inner).starts_with(outer)
}

/// A program to start that has passed all checks.
#[derive(Debug)]
pub struct LaunchSpec {
    pub command: Command,
    pub folder: OwnedFd,
    pub confinement: Option<Confinement>,
    pub stdout: OutputCutMode,
    pub stderr: OutputCutMode,
}

impl LaunchSpec {
    /// Checks a request against the config and prepares the command.
    pub fn allowed(config: &Config, asked: ProcessConfig) -> Result<Self, Error> {
        let ProcessConfig { program, args, cwd, env, buffer_size, stdout_mode, stderr_mode, chunk_size, .. } = asked;
        let most = config.max_output_buffer;
        let bounded = |what, number: u32| {
            let bounds = format!("1 to {most}, the handler's max_output_buffer");
            let fits = (1..=most).contains(&u64::from(number));
            if fits { Ok(number as usize) } else { Err(Error::Bounds { what, found: number.into(), bounds }) }
        };
        let buffer = bounded("buffer-size", buffer_size)?;
        let chunk = chunk_size.map(|size| bounded("chunk-size", size)).transpose()?;
        let cut = |mode: &OutputMode| match mode {
            OutputMode::Raw => Ok(OutputCutMode::Raw(buffer)),
            OutputMode::LineByLine => Ok(OutputCutMode::Lines(buffer)),
            OutputMode::Json => Ok(OutputCutMode::Json(buffer)),
            OutputMode::Chunked => chunk.map(OutputCutMode::Chunks).ok_or(Error::NoChunkSize),
        };
        let (stdout, stderr) = (cut(&stdout_mode)?, cut(&stderr_mode)?);
        if asked.execution_timeout == Some(0) {
            let bounds = "at least 1 second; leave it out for no limit".to_owned();
            return Err(Error::Bounds { what: "execution-timeout", found: 0, bounds });
        }
        if args.iter().any(|word| word.contains('\0')) {
            return Err(Error::Text("an argument"));
        }
        let bad =
            |(name, value): &(String, String)| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0');
        if env.iter().any(bad) {
            return Err(Error::Text("env"));
        }
        if let Some((name, _)) = env.iter().find(|(name, value)| !is_allowed(&config.allowed_env, name, value)) {
            return Err(Error::Variable(name.clone()));
        }
        let mut command = Command::new(config.file(&program)?);
        command.args(args);
        if !config.inherit_env {
            command.env_clear();
        }
        command.envs(env);
        Ok(Self { command, folder: config.folder(cwd)?, confinement: config.confinement(), stdout, stderr })
    }
}
