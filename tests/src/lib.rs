//! What end-to-end tests stand on: the real program, the real plugins as files, real actors, real sockets.

pub mod bench;
pub mod browser;
pub mod memory;
pub mod plot;
pub mod talk;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use theater_runtime::replay::replay;
use theater_runtime::verify;

/// Longest time anything that a test waits for may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What "within a second" may take where other tests run beside: below every grace and limit that a test's program would
/// wait for if it did not act at once.
pub const PROMPT: Duration = Duration::from_secs(3);

/// The repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository").to_owned()
}

/// The folder with the program and the plugins of this build; builds them once per process.
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

/// The cargo that runs the tests, without what it says of the tests' own package: a build script that looks at that would run
/// again, and all that stands on it.
#[must_use]
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars().filter(|(name, _)| of_package(name)) {
        cargo.env_remove(name);
    }
    cargo
}

/// Builds a workspace of its own (a third party's plugin) in the same profile: its target folder.
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

/// A folder of a test's own, removed at the end.
pub struct Scratch(PathBuf);

impl Scratch {
    /// An empty folder.
    #[must_use]
    pub fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("theater-test-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).expect("a scratch folder can be made");
        Self(folder)
    }
    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
    /// Writes a file into it: its path.
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
        // Left behind where it cannot be removed; the system's temporary folder is cleaned by others.
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

/// A manifest for one of those actors: `more` is TOML behind its head.
#[must_use]
pub fn manifest(actor: &str, more: &str) -> String {
    format!("name = {actor:?}\ncomponent_path = {:?}\n{more}", component(actor).display().to_string())
}

/// A handler entry for an HTTP server on a port of the system's choice.
pub const HTTP: &str = "[[handlers]]\ntype = \"http-server\"\nconfig = { port = 0 }\n";

/// Runs `theater` with arguments until it ends.
pub fn theater(arguments: &[&str]) -> Output {
    Command::new(build_folder().join("theater")).args(arguments).output().expect("theater runs")
}

/// `theater run` with a data folder and more arguments.
#[must_use]
pub fn run_command(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(build_folder().join("theater"));
    command.arg("run").arg("--data").arg(data).args(arguments);
    command
}

/// `theater run` as [`run_command`], started by a shell once it has run `before` as root of a mount namespace of its own.
#[must_use]
pub fn run_behind(before: &str, data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    let run = format!("{before} && exec \"$0\" \"$@\"");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &run]);
    command.arg(build_folder().join("theater")).arg("run").arg("--data").arg(data).args(arguments);
    command
}

/// A running `theater run`.
pub struct Running {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    errors: Arc<Mutex<Vec<String>>>,
    /// Its data folder.
    pub data: PathBuf,
}

/// Collects the lines of a stream.
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

/// Waits until `look` finds something.
///
/// # Panics
/// After [`PATIENCE`], with `what`.
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
    /// Starts `theater run` with a data folder and more arguments (manifests among them).
    #[must_use]
    pub fn start(data: &Path, arguments: &[&str]) -> Self {
        Self::start_with(data, arguments, &[])
    }

    /// Starts one actor from manifest text and waits for its ready line: the program and the actor's first address.
    ///
    /// # Panics
    /// When it is not ready in time.
    #[must_use]
    pub fn actor(scratch: &Scratch, manifest: &str) -> (Self, SocketAddr) {
        let path = scratch.write("manifest.toml", manifest);
        let running = Self::start(&scratch.path().join("data"), &[&path.display().to_string()]);
        let address = running.address(0);
        (running, address)
    }

    /// What it has printed on stdout.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("no panic while locked").clone()
    }

    /// What it has printed on stderr.
    #[must_use]
    pub fn errors(&self) -> Vec<String> {
        self.errors.lock().expect("no panic while locked").clone()
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line on stdout that holds a text.
    pub fn wait_for_line(&self, text: &str) -> String {
        wait_until(&format!("{text:?} among {:?}", self.errors()), || {
            self.lines().into_iter().find(|line| line.contains(text))
        })
    }

    /// Waits for a line on stderr that holds a text.
    pub fn wait_for_error(&self, text: &str) -> String {
        wait_until(&format!("{text:?} on stderr"), || self.errors().into_iter().find(|line| line.contains(text)))
    }

    /// The address of the ready line number `number`.
    pub fn address(&self, number: usize) -> SocketAddr {
        let line = wait_until(&format!("ready line {number}; stderr: {:?}", self.errors()), || {
            self.lines().into_iter().filter(|line| line.contains(" ready")).nth(number)
        });
        let url = line.split("://").nth(1).expect("an address");
        let address = url.split(['/', ' ']).next().expect("an address");
        address.trim().parse().expect("an address of digits")
    }

    /// Sends a signal, as `INT` or `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        wait_until("the program's end", || self.child.try_wait().expect("a child can be waited for"))
    }

    /// Asks it to end and waits: how it ended and how long that took.
    pub fn stop(&mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        self.signal("TERM");
        (self.wait(), start.elapsed())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed leaves no program behind; one that ended is not killed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// An HTTP response.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The head, as it came.
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

/// One request on a connection of its own.
#[must_use]
pub fn get(address: SocketAddr, path: &str) -> Response {
    try_get(address, path).unwrap_or_else(|error| panic!("GET {path}: {error}"))
}

/// As [`get`], but a connection that breaks is an answer too.
///
/// # Errors
/// What the system says.
pub fn try_get(address: SocketAddr, path: &str) -> std::io::Result<Response> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    exchange(address, request.as_bytes())
}

/// Sends raw bytes and reads one response with `Content-Length`, or until the end.
///
/// # Errors
/// What the system says, or that no response came.
pub fn exchange(address: SocketAddr, request: &[u8]) -> std::io::Result<Response> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    read_response(&mut BufReader::new(stream))
}

/// What Debian's `wrk` gets of a URL over so many connections that are kept, in one thread: requests per second.
///
/// # Panics
/// When it is not there, or something else than answers with a status below 400 came.
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

/// Reads one response from a connection.
///
/// # Errors
/// As [`exchange`].
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
    /// Waits until the journal holds a text: as a path in the params of a call that was queued.
    pub fn wait_for_queued(&self, text: &str) {
        wait_until(&format!("{text:?} in the journal"), || {
            let journal = std::fs::read(self.data.join("journal/00000001.log")).ok()?;
            journal.windows(text.len()).any(|window| window == text.as_bytes()).then_some(())
        });
    }
}

/// The lines of output with `-o json`.
///
/// # Panics
/// When a line is no object.
#[must_use]
pub fn json_lines(output: &[u8]) -> Vec<serde_json::Value> {
    let text = String::from_utf8_lossy(output);
    let parsed = text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")));
    parsed.collect()
}

/// Replays every chain of a data folder, or some where there are many: how many calls were the same.
///
/// # Panics
/// When one differs, or cannot be replayed.
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
/// When there is no such chain in time: what a running program has done is on disk a moment later.
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

/// The texts of the events of one type.
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

/// A folder with copies of our plugins.
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
    /// As [`Running::start`], with variables of the environment.
    #[must_use]
    pub fn start_with(data: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = run_command(data, arguments);
        command.envs(variables.iter().copied());
        Self::spawn(command, data)
    }

    /// Starts a command that is, or in the end becomes, `theater run` with that data folder.
    ///
    /// # Panics
    /// When it does not start.
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
    /// Everything it has printed on stderr; once it has ended and with what its children still print.
    #[must_use]
    pub fn all_errors(&self) -> Vec<String> {
        // The thread that collects holds the other count until the end of the stream.
        wait_until("the end of stderr", || (Arc::strong_count(&self.errors) == 1).then_some(()));
        self.errors()
    }
}

/// The folder with the libraries of `tests/bad-plugins`; builds them once per process.
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
