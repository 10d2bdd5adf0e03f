//! Helpers for the end-to-end tests, which use the real program, plugin libraries loaded from files, compiled
//! actors and real sockets.

pub mod bench;
pub mod browser;
pub mod memory;
pub mod plot;
pub mod reference;
pub mod source;
pub mod talk;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use theater_chain::verify;
use theater_runtime::replay::replay;

/// The timeout of every wait in a test.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The bound for "immediately" while other tests run in parallel. It is shorter than every grace period and timeout
/// that the program under test would otherwise wait for.
pub const PROMPT: Duration = Duration::from_secs(3);

/// The root folder of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository").to_owned()
}

/// Returns the folder with the program and plugins of the current profile, and builds them once per process.
pub fn build_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test = std::env::current_exe().expect("a test has a path");
        // Tests are in target/<profile>/deps, programs in target/<profile>.
        let folder = test.parent().expect("a program is in a folder");
        let folder = if folder.ends_with("deps") { folder.parent().expect("a profile's folder") } else { folder };
        let folder = folder.to_owned();
        let mut cargo = cargo();
        cargo.current_dir(repository()).args(["build", "--quiet", "--workspace"]);
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        if let Some(target) = folder.parent() {
            cargo.env("CARGO_TARGET_DIR", target);
        }
        let status = cargo.status().expect("cargo runs");
        assert!(status.success(), "the program and its plugins build");
        folder
    })
}

/// A command for the cargo that runs the tests, without the variables that describe the tests' own package: a build
/// script that reads them would run again and rebuild every crate that depends on it.
#[must_use]
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars().filter(|(name, _)| of_package(name)) {
        cargo.env_remove(name);
    }
    cargo
}

/// Builds a separate workspace, such as a third-party plugin, and returns the folder with its libraries.
pub fn build_outside(workspace: &Path, arguments: &[&str]) -> PathBuf {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let name = workspace.file_name().expect("a workspace has a name");
    let target = build_folder().parent().expect("target folder").join("outside").join(name);
    let status = cargo()
        .current_dir(workspace)
        .args(["build", "--quiet"])
        .args(arguments)
        .env("CARGO_TARGET_DIR", &target)
        .status()
        .expect("cargo runs");
    assert!(status.success(), "{} builds", workspace.display());
    target.join(if arguments.contains(&"--release") { "release" } else { "debug" })
}

/// A temporary folder, removed on drop.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Creates an empty folder.
    #[must_use]
    pub fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("theater-test-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).expect("a scratch folder can be made");
        Self(folder)
    }
    /// The path of the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
    /// Writes a file into the folder and returns its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).expect("a folder can be made");
        }
        std::fs::write(&path, content).expect("a file can be written");
        path
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A folder that cannot be removed is left to whatever cleans the system's temporary folder.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// The built component of an actor of `tests/actors`.
#[must_use]
pub fn component(actor: &str) -> PathBuf {
    let folder = std::env::var_os("THEATER_TEST_COMPONENTS").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| repository().join("tests/actors/components"));
    folder.join(format!("{actor}.wasm"))
}

/// A manifest for one of those actors, with the TOML in `more` appended.
#[must_use]
pub fn manifest(actor: &str, more: &str) -> String {
    format!("name = {actor:?}\ncomponent_path = {:?}\n{more}", component(actor).display().to_string())
}

/// A handler entry for an HTTP server on a port that the system assigns.
pub const HTTP: &str = "[[handlers]]\ntype = \"http-server\"\nconfig = { port = 0 }\n";

/// Runs `theater` with arguments and waits for it to exit.
pub fn theater(arguments: &[&str]) -> Output {
    Command::new(build_folder().join("theater")).args(arguments).output().expect("theater runs")
}

/// A command for `theater run` with a data folder and further arguments.
#[must_use]
pub fn run_command(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(build_folder().join("theater"));
    command.arg("run").arg("--data").arg(data).args(arguments);
    command
}

/// Like [`run_command`], but in a new mount namespace, where a shell first runs `before`.
#[must_use]
pub fn run_behind(before: &str, data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    let run = format!("{before} && exec \"$0\" \"$@\"");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &run]);
    command.arg(build_folder().join("theater")).arg("run").arg("--data").arg(data).args(arguments);
    command
}

/// A running `theater run`, killed on drop.
pub struct Running {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    errors: Arc<Mutex<Vec<String>>>,
    /// The data folder of the process.
    pub data: PathBuf,
}

/// Collects the lines of a stream on a thread until the stream ends.
fn collect(stream: impl Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let of_thread = Arc::clone(&lines);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            of_thread.lock().expect("no panic while locked").push(line);
        }
    });
    lines
}

/// Polls `look` until it returns a value.
///
/// # Panics
/// After [`PATIENCE`], with `what` in the message.
pub fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Running {
    /// Starts `theater run` with a data folder and further arguments, such as manifests.
    #[must_use]
    pub fn start(data: &Path, arguments: &[&str]) -> Self {
        Self::start_with(data, arguments, &[])
    }

    /// Starts one actor from manifest text, waits for its ready line, and returns the program and the actor's first
    /// address.
    ///
    /// # Panics
    /// If the actor is not ready within [`PATIENCE`].
    #[must_use]
    pub fn actor(scratch: &Scratch, manifest: &str) -> (Self, SocketAddr) {
        let path = scratch.write("manifest.toml", manifest);
        let running = Self::start(&scratch.path().join("data"), &[&path.display().to_string()]);
        let address = running.address(0);
        (running, address)
    }

    /// The lines printed on stdout so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("no panic while locked").clone()
    }

    /// The lines printed on stderr so far.
    #[must_use]
    pub fn errors(&self) -> Vec<String> {
        self.errors.lock().expect("no panic while locked").clone()
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line on stdout that contains a text.
    pub fn wait_for_line(&self, text: &str) -> String {
        wait_until(&format!("{text:?} among {:?}", self.errors()), || {
            self.lines().into_iter().find(|line| line.contains(text))
        })
    }

    /// Waits for a line on stderr that contains a text.
    pub fn wait_for_error(&self, text: &str) -> String {
        wait_until(&format!("{text:?} on stderr"), || self.errors().into_iter().find(|line| line.contains(text)))
    }

    /// Waits for the ready line with index `number`, counted from 0, and returns its address.
    pub fn address(&self, number: usize) -> SocketAddr {
        let line = wait_until(&format!("ready line {number}; stderr: {:?}", self.errors()), || {
            self.lines().into_iter().filter(|line| line.contains(" ready")).nth(number)
        });
        let url = line.split("://").nth(1).expect("an address");
        let address = url.split(['/', ' ']).next().expect("an address");
        address.trim().parse().expect("an address of digits")
    }

    /// Sends a signal, such as `INT` or `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Whether the process has exited.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// Waits for the process to exit.
    pub fn wait(&mut self) -> ExitStatus {
        wait_until("the program's end", || self.child.try_wait().expect("a child can be waited for"))
    }

    /// Sends SIGTERM and waits, then returns the exit status and how long the exit took.
    pub fn stop(&mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        self.signal("TERM");
        (self.wait(), start.elapsed())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // So that a failed test leaves no process running. Killing one that was already waited for does nothing.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// An HTTP response.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The status line and headers, as received.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends a GET request on a new connection.
#[must_use]
pub fn get(address: SocketAddr, path: &str) -> Response {
    try_get(address, path).unwrap_or_else(|error| panic!("GET {path}: {error}"))
}

/// Like [`get`], but returns connection errors.
///
/// # Errors
/// The errors of [`exchange`].
pub fn try_get(address: SocketAddr, path: &str) -> std::io::Result<Response> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    exchange(address, request.as_bytes())
}

/// Sends raw bytes on a new connection and reads one response.
///
/// # Errors
/// An I/O error, or `InvalidData` if the answer is not an HTTP response.
pub fn exchange(address: SocketAddr, request: &[u8]) -> std::io::Result<Response> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    read_response(&mut BufReader::new(stream))
}

/// Measures a URL with `wrk`, over this many keep-alive connections from one thread, in requests per second.
///
/// # Panics
/// If `wrk` is not installed or fails, or reports a socket error or a status that is not 2xx or 3xx.
#[must_use]
pub fn wrk(url: &str, connections: usize, seconds: u32) -> f64 {
    let (connections, seconds) = (format!("-c{connections}"), format!("-d{seconds}s"));
    let output = Command::new("wrk").args(["-t1", &connections, &seconds, url]).output();
    let output = output.expect("this needs wrk: install it, as `.ci/run` does");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && !said.contains("Non-2xx") && !said.contains("Socket errors"), "{said}");
    let rate = said.lines().find_map(|line| line.strip_prefix("Requests/sec:")).expect("wrk says the rate");
    rate.trim().parse().expect("a number")
}

/// Reads one response from a connection: as many bytes as `Content-Length` says, or everything up to the end.
///
/// # Errors
/// The errors of [`exchange`].
pub fn read_response(reader: &mut impl BufRead) -> std::io::Result<Response> {
    let bad = |what: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_owned());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(bad("the connection ended inside a head"));
        }
    }
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| bad("no status"))?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let mut body = Vec::new();
    match length {
        Some(length) => {
            body.resize(length, 0);
            reader.read_exact(&mut body)?;
        }
        None => {
            reader.read_to_end(&mut body)?;
        }
    }
    Ok(Response { status, head, body })
}

impl Running {
    /// Waits until the first journal segment contains a text, such as a path in the params of a queued call.
    pub fn wait_for_queued(&self, text: &str) {
        wait_until(&format!("{text:?} in the journal"), || {
            let journal = std::fs::read(self.data.join("journal/00000001.log")).ok()?;
            journal.windows(text.len()).any(|window| window == text.as_bytes()).then_some(())
        });
    }
}

/// Parses the output of `-o json`, one object per line.
///
/// # Panics
/// If a line is not JSON.
#[must_use]
pub fn json_lines(output: &[u8]) -> Vec<serde_json::Value> {
    let text = String::from_utf8_lossy(output);
    let parsed = text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")));
    parsed.collect()
}

/// Replays the chains of a data folder, at most 20 of them, and returns how many calls were identical.
///
/// # Panics
/// If a replay differs from its chain or fails, or if the chains have no calls.
pub fn replays(data: &Path) -> u64 {
    let contents = verify::read(data, |_| {}).expect("the journal verifies");
    let replayed = contents.chains.iter().take(20).map(|(id, end)| {
        let report = replay(data, *id, data, &theater_runtime::replay::Options::default());
        let report = report.unwrap_or_else(|error| panic!("{}: {error}", end.name));
        assert!(report.difference.is_none(), "{}: {:?}", end.name, report.difference);
        report.calls
    });
    let calls = replayed.sum();
    // Every actor that started was called at least once.
    assert!(calls > 0, "{} has calls", data.display());
    calls
}

/// The events of an actor's chain, as `theater -o json chain show` prints them.
///
/// # Panics
/// If there is no such chain within 10 s. A running program writes its events to disk with a short delay.
#[must_use]
pub fn chain(data: &Path, actor: &str) -> Vec<serde_json::Value> {
    let mut last = String::new();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        let output = theater(&["--data", &data.display().to_string(), "-o", "json", "chain", "show", actor]);
        if output.status.success() {
            return json_lines(&output.stdout);
        }
        last = String::from_utf8_lossy(&output.stdout).into_owned();
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("chain show {actor}: {last}")
}

/// The texts of all events of one type.
#[must_use]
pub fn texts(events: &[serde_json::Value], kind: &str) -> Vec<String> {
    let of_kind = events.iter().filter(|event| event["type"] == kind);
    of_kind.map(|event| event["text"].as_str().expect("an event has a text").to_owned()).collect()
}

/// The names of our plugins.
pub const OURS: [&str; 13] = [
    "environment",
    "filesystem",
    "http-client",
    "http-framework",
    "http-server",
    "message-server",
    "process",
    "random",
    "runtime",
    "store",
    "supervisor",
    "timing",
    "websocket-server",
];

/// Creates a folder with copies of our plugins.
#[must_use]
pub fn plugin_folder(scratch: &Scratch) -> PathBuf {
    let folder = scratch.path().join("plugins");
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    for plugin in OURS {
        let file = format!("lib{}.so", plugin.replace('-', "_"));
        std::fs::copy(build_folder().join(&file), folder.join(&file)).expect("a plugin can be copied");
    }
    folder
}

impl Running {
    /// Like [`Running::start`], with environment variables.
    #[must_use]
    pub fn start_with(data: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = run_command(data, arguments);
        command.envs(variables.iter().copied());
        Self::spawn(command, data)
    }

    /// Starts a command that is `theater run` with that data folder, or that replaces itself with it.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn spawn(mut command: Command, data: &Path) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("theater starts");
        let lines = collect(child.stdout.take().expect("stdout is piped"));
        let errors = collect(child.stderr.take().expect("stderr is piped"));
        Self { child, lines, errors, data: data.to_owned() }
    }
}

impl Running {
    /// Waits for the end of stderr, which its children may keep open, and returns all lines.
    #[must_use]
    pub fn all_errors(&self) -> Vec<String> {
        // The collecting thread holds the other reference until the stream ends.
        wait_until("the end of stderr", || (Arc::strong_count(&self.errors) == 1).then_some(()));
        self.errors()
    }
}

/// Returns the folder with the libraries of `tests/bad-plugins`, and builds them once per process.
pub fn bad_plugins() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let target = build_folder().parent().expect("target folder").join("outside/bad-plugins");
        let folder = target.join("built");
        let built = Command::new(repository().join("tests/bad-plugins/build"))
            .arg(&folder)
            .env("CARGO_TARGET_DIR", &target)
            .output()
            .expect("the build script runs");
        assert!(built.status.success(), "tests/bad-plugins/build: {}", String::from_utf8_lossy(&built.stderr));
        folder
    })
}
