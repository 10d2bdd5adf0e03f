//! The exact error messages for mistakes in manifests and on the command line.
//!
//! The expected texts are in `fixtures/mistakes/`, with placeholders for what differs between machines.
//! `UPDATE_GOLDEN=1` rewrites them.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use theater_tests::{HTTP, Running, Scratch, build_folder, manifest, repository};

const CLOCK: &str = "name = \"clock\"\ncomponent_path = \"<components>/clock.wasm\"\n";
const HELLO: &str = "name = \"hello\"\ncomponent_path = \"<components>/hello-http.wasm\"\n";
const ODD: &str = "name = \"odd\"\ncomponent_path = \"odd.wat\"\n";
const TIMING: &str = "[[handlers]]\ntype = \"timing\"\n";

/// A start that has to fail.
struct Mistake {
    scratch: Scratch,
    arguments: Vec<String>,
    /// Texts and the placeholders to replace them with.
    hidden: Vec<(String, String)>,
}

impl Mistake {
    /// Creates a start with this manifest. `<components>` in it stands for the folder of the built actors.
    fn new(manifest: &str) -> Self {
        let scratch = Scratch::new();
        let components = theater_tests::component("x").parent().unwrap().display().to_string();
        scratch.write("actor.toml", manifest.replace("<components>", &components));
        let hidden = vec![
            (components, "<components>".to_owned()),
            (scratch.path().display().to_string(), "<folder>".to_owned()),
            (build_folder().display().to_string(), "<plugins>".to_owned()),
        ];
        Self { scratch, arguments: Vec::new(), hidden }
    }

    fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.scratch.write(name, content);
        self
    }

    fn option(mut self, name: &str, value: &str) -> Self {
        self.arguments.extend([name.to_owned(), value.to_owned()]);
        self
    }

    fn hide(mut self, text: impl ToString, placeholder: &str) -> Self {
        self.hidden.push((text.to_string(), placeholder.to_owned()));
        self
    }

    fn data(&self) -> PathBuf {
        self.scratch.path().join("data")
    }

    fn path(&self, name: &str) -> String {
        self.scratch.path().join(name).display().to_string()
    }

    fn theater(&self) -> Command {
        let mut theater = Command::new(build_folder().join("theater"));
        theater.args(["run", "--data", &self.path("data"), &self.path("actor.toml")]).args(&self.arguments);
        theater
    }

    /// Checks that the program exits with 1, prints exactly the golden text, and leaves no chain.
    fn check(&self, name: &str) {
        self.check_output(name, &self.theater().output().unwrap());
        self.leaves_no_chain();
    }

    fn check_output(&self, name: &str, output: &Output) {
        let mut said = String::from_utf8(output.stderr.clone()).unwrap();
        for (text, placeholder) in &self.hidden {
            said = said.replace(text, placeholder);
        }
        let lines: Vec<_> = said.lines().map(str::trim_end).collect();
        golden(name, &(lines.join("\n") + "\n"));
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    }

    fn leaves_no_chain(&self) {
        let Ok(segments) = std::fs::read_dir(self.data().join("journal")) else { return };
        let bytes: u64 = segments.map(|segment| segment.unwrap().metadata().unwrap().len()).sum();
        let list = theater_tests::theater(&["--data", &self.path("data"), "chain", "list"]);
        assert_eq!(String::from_utf8_lossy(&list.stdout), "", "{bytes} bytes");
        assert!(list.status.success(), "{}", String::from_utf8_lossy(&list.stderr));
    }
}

fn golden(name: &str, said: &str) {
    let path = repository().join("tests/tests/e2e/fixtures/mistakes").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, said).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(said, expected, "{} differs; UPDATE_GOLDEN=1 rewrites it", path.display());
}

/// Defines one test per mistake. The golden file has the name of the test.
macro_rules! mistakes {
    ($($name:ident: $mistake:expr;)*) => {$(
        #[test]
        fn $name() {
            $mistake.check(stringify!($name));
        }
    )*};
}

mistakes! {
    an_unknown_key: Mistake::new(&format!("{HELLO}on_eror = \"fail\"\n{HTTP}"));
    an_unknown_key_like_no_other: Mistake::new(&format!("{HELLO}\n\ncolour = \"red\"\n{HTTP}"));
    an_unknown_limit: Mistake::new(&format!("{HELLO}{HTTP}[limits]\nmemory = 5\n"));
    a_wrong_type: Mistake::new("name = \"a\"\ncomponent_path = 5\n");
    a_number_in_quotes: Mistake::new(&format!("{HELLO}{HTTP}[limits]\nrun_timeout_ms = \"1000\"\n"));
    a_limit_of_nothing: Mistake::new(&format!("{HELLO}{HTTP}[limits]\nmemory_bytes = 0\n"));
    no_toml: Mistake::new("name = \"a\"\ncomponent_path = \n");
    no_name: Mistake::new("component_path = \"a.wasm\"\n");
    no_component: Mistake::new("name = \"a\"\n");
    a_name_with_a_blank: Mistake::new("name = \"my actor\"\ncomponent_path = \"a.wasm\"\n");
    a_word_that_is_no_choice: Mistake::new(&format!("{HELLO}instance = \"forever\"\n"));
    a_missing_component: Mistake::new(&format!("name = \"a\"\ncomponent_path = \"nowhere.wasm\"\n{HTTP}"));
    a_component_by_url: Mistake::new("name = \"a\"\ncomponent = \"ipfs://s/a\"\n");
    a_missing_init_state: Mistake::new(&format!("{HELLO}init_state = \"nowhere.json\"\n{HTTP}"));
    a_missing_handler: Mistake::new(&format!("{CLOCK}{HTTP}"));
    a_handler_without_a_type: Mistake::new(&format!("{HELLO}[[handlers]]\nconfig = {{ port = 0 }}\n"));
    a_handler_without_plugin: Mistake::new(&format!("{HELLO}{HTTP}[[handlers]]\ntype = \"telepathy\"\n"));
    a_misspelt_handler: Mistake::new(&format!("{HELLO}\n[[handlers]]\ntype = \"http-sever\"\n"));
    a_missing_plugin_folder: Mistake::new(&format!("{HELLO}{HTTP}")).option("--plugins", "nowhere");
    bad_wasm: Mistake::new(ODD).file("odd.wat", "#!/bin/sh\nexit 0\n");
    damaged_wasm: Mistake::new(ODD).file("odd.wat", b"\0asm\x0d\0\x01\0\x01\xff\xff");
    bad_wat: Mistake::new(ODD).file("odd.wat", "(component\n  (import oops)\n)\n");
    a_core_module: Mistake::new(ODD).file("odd.wat", b"\0asm\x01\0\0\0");
    a_core_module_as_text: Mistake::new(ODD).file("odd.wat", "(module (memory 1))");
    an_import_that_nothing_has: Mistake::new(ODD).file("odd.wat", WEATHER);
    an_import_outside_an_interface: Mistake::new(ODD).file("odd.wat", "(component (import \"now\" (func (result u64))))");
    an_import_of_another_version: Mistake::new(ODD).file("odd.wat", NEWER_TIMING);
    an_import_of_wasi: Mistake::new(ODD).file("odd.wat", WASI);
    an_import_of_a_function_too_many: Mistake::new(&format!("{ODD}{TIMING}")).file("odd.wat", TIMING_LATER);
    an_import_of_another_type: Mistake::new(&format!("{ODD}{TIMING}")).file("odd.wat", TIMING_TEXT);
    an_import_with_a_resource: Mistake::new(&format!("{ODD}{TIMING}")).file("odd.wat", TIMING_RESOURCE);
    no_init: Mistake::new(ODD).file("odd.wat", "(component)");
    // [http-server-1]
    no_handle_request: Mistake::new("name = \"echo\"\ncomponent_path = \"<components>/echo.wasm\"\n[[handlers]]\ntype = \"http-server\"\nport = 0\n");
    other_contents_than_named: Mistake::new(&format!("{HELLO}sha256 = \"00\"\n{HTTP}")).hide(digest("hello-http"), "<sha256>");
    an_interface_that_is_not_exported: Mistake::new(&format!("{HELLO}{HTTP}[interface]\nimplements = [\"ntwk:theater/supervisor\"]\n"));
    two_handlers_for_one_interface: Mistake::new(&format!("{CLOCK}{HTTP}{TIMING}\n{TIMING}"));
    config_and_flat_keys: Mistake::new(&format!("{HELLO}[[handlers]]\ntype = \"http-server\"\nport = 8080\nconfig = {{ host = \"127.0.0.1\" }}\n"));
    a_value_that_is_not_given: Mistake::new(&format!("{HELLO}[[handlers]]\ntype = \"http-server\"\nport = ${{port}}\n"));
    a_value_without_end: Mistake::new(&format!("{HELLO}version = \"${{version\"\n"));
    a_text_where_a_number_belongs: Mistake::new(&format!("{HELLO}[[handlers]]\ntype = \"http-server\"\nport = ${{port}}\n")).option("--set", "port=http");
    a_config_out_of_bounds: Mistake::new(&format!("{HELLO}\n[[handlers]]\ntype = \"http-server\"\nconfig = {{ port = 99999 }}\n"));
    a_config_of_another_type: Mistake::new(&format!("{HELLO}\n[[handlers]]\ntype = \"http-server\"\nport = \"http\"\n"));
    a_config_key_misspelt: Mistake::new(&format!("{HELLO}\n[[handlers]]\ntype = \"http-server\"\nprot = 8080\n"));
    a_missing_permissions_file: Mistake::new(&format!("{HELLO}{HTTP}")).option("--permissions", "nowhere.toml");
}

const WEATHER: &str =
    r#"(component (import "acme:weather/report@1.0.0" (instance (export "today" (func (result string))))))"#;
const NEWER_TIMING: &str =
    r#"(component (import "theater:simple/timing@2.0.0" (instance (export "now" (func (result u64))))))"#;
const WASI: &str = r#"(component
    (import "wasi:cli/exit@0.2.3" (instance (export "exit" (func))))
    (import "wasi:random/random@0.2.3" (instance (export "get-random-u64" (func (result u64))))))"#;
const TIMING_LATER: &str = r#"(component (import "theater:simple/timing" (instance (export "later" (func)))))"#;
const TIMING_TEXT: &str =
    r#"(component (import "theater:simple/timing" (instance (export "now" (func (result string))))))"#;
const TIMING_RESOURCE: &str = r#"(component (import "theater:simple/timing" (instance
    (export "clock" (type (sub resource)))
    (export "now" (func (result (own 0)))))))"#;

fn digest(actor: &str) -> String {
    use sha2::Digest;
    let bytes = std::fs::read(theater_tests::component(actor)).unwrap();
    sha2::Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_missing_manifest() {
    let mistake = Mistake::new("");
    std::fs::remove_file(mistake.path("actor.toml")).unwrap();
    mistake.check("a_missing_manifest");
}

#[test]
fn a_port_in_use_is_told_and_ends_the_chain() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mistake =
        Mistake::new(&format!("{HELLO}\n[[handlers]]\ntype = \"http-server\"\nconfig = {{ port = {port} }}\n"));
    let mistake = mistake.hide(port, "<port>");
    mistake.check_output("a_port_in_use", &mistake.theater().output().unwrap());
    // The port is bound after the actor was created, so that its chain records the failure.
    let events = theater_tests::chain(&mistake.data(), "hello");
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["created", "failed"]);
    assert!(events[1]["text"].as_str().unwrap().contains("is in use"), "{}", events[1]);
}

#[test]
fn a_data_folder_that_cannot_be_written() {
    // Tests may run as root, which can write everywhere except below a regular file.
    let mistake = Mistake::new(&format!("{HELLO}{HTTP}")).file("file", "").option("--log", "info");
    let mut theater = Command::new(build_folder().join("theater"));
    theater.args(["run", "--data", &mistake.path("file/data"), &mistake.path("actor.toml")]);
    mistake.check_output("a_data_folder_that_cannot_be_written", &theater.output().unwrap());
}

#[test]
fn a_data_folder_of_another_format() {
    let mistake = Mistake::new(&format!("{HELLO}{HTTP}")).file("data/FORMAT", "77\n");
    mistake.check("a_data_folder_of_another_format");
}

#[test]
fn a_data_folder_in_use_names_the_other_process() {
    let mistake = Mistake::new(&format!("{HELLO}{HTTP}"));
    let other = mistake.scratch.write("other.toml", manifest("hello-http", HTTP));
    let running = Running::start(&mistake.data(), &[&other.display().to_string()]);
    running.wait_for_line("ready");
    let output = mistake.theater().output().unwrap();
    let pid = format!("process {}", running.pid());
    assert!(String::from_utf8_lossy(&output.stderr).contains(&pid));
    mistake.hide(pid, "process <pid>").check_output("a_data_folder_in_use", &output);
}

#[test]
fn too_few_open_files() {
    let mistake = Mistake::new(&format!("{HELLO}{HTTP}"));
    let program = mistake.theater();
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 100; exec \"$0\" \"$@\""]).arg(program.get_program()).args(program.get_args());
    mistake.check_output("too_few_open_files", &shell.output().unwrap());
    mistake.leaves_no_chain();
}

#[test]
fn a_mistake_with_json_output_is_one_object() {
    let mistake = Mistake::new(&format!("{CLOCK}{HTTP}")).option("-o", "json");
    let output = mistake.theater().output().unwrap();
    let objects = theater_tests::json_lines(&output.stdout);
    assert_eq!(objects.len(), 1, "{objects:?}");
    assert_eq!((&objects[0]["event"], &objects[0]["code"]), (&"error".into(), &"C0006".into()));
    assert!(objects[0]["message"].as_str().unwrap().contains("theater:simple/timing"), "{}", objects[0]);
    assert!(objects[0]["help"].as_str().unwrap().contains("type = \"timing\""), "{}", objects[0]);
    assert_eq!((output.status.code(), output.stderr.len()), (Some(1), 0));
}

#[test]
fn validate_says_the_same_as_run() {
    let mistake = Mistake::new(&format!("{CLOCK}{HTTP}"));
    let validate = theater_tests::theater(&["validate", &mistake.path("actor.toml")]);
    let run = mistake.theater().output().unwrap();
    assert_eq!(String::from_utf8_lossy(&validate.stderr), String::from_utf8_lossy(&run.stderr));
    assert_eq!(validate.status.code(), Some(1));
}

#[test]
fn every_golden_text_is_of_a_test() {
    let source = include_str!("mistakes.rs");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/fixtures/mistakes");
    for file in std::fs::read_dir(folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(source.contains(name.trim_end_matches(".txt")), "{name}");
    }
}
