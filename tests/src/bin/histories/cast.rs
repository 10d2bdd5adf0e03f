//! The actors of a round: their manifests, and the functions that drive them.

use theater_plugin_api::testing::Seeded;
use theater_tests::HTTP;
use theater_tests::talk::TALK;

use crate::stage::Stage;
use crate::{family, messages, programs, sockets, switchboard, web};

/// Calls an actor until its chain is a history.
pub type Drive = fn(&Stage, &mut Seeded) -> Result<(), String>;

/// An actor that the command line starts.
pub struct Role {
    pub actor: &'static str,
    /// Keys at the head of the manifest, one per line.
    pub head: &'static str,
    /// Handler entries.
    pub handlers: &'static [&'static str],
    pub limits: &'static str,
    /// `None` if the drive of another actor also calls this one.
    pub drive: Option<Drive>,
}

impl Role {
    const fn new(actor: &'static str, handlers: &'static [&'static str], drive: Drive) -> Self {
        Self { actor, head: "", handlers, limits: "", drive: Some(drive) }
    }

    const fn driven(actor: &'static str, handlers: &'static [&'static str]) -> Self {
        Self { actor, head: "", handlers, limits: "", drive: None }
    }

    const fn head(mut self, head: &'static str) -> Self {
        self.head = head;
        self
    }

    const fn limits(mut self, limits: &'static str) -> Self {
        self.limits = limits;
        self
    }
}

/// The actor that is started twice.
pub const TWICE: &str = "chatter";
/// Placeholder for the address of the upstream server.
pub const UPSTREAM: &str = "UPSTREAM";
/// Environment variables of the program.
pub const VARIABLES: [(&str, &str); 3] = [("TODO_TOKEN", web::TOKEN), ("THEATER_ONE", "1"), ("THEATER_TWO", "two")];

const CLIENT: &str = "[[handlers]]\ntype = \"http-client\"\n\
                      config = { allowed_hosts = [\"127.0.0.1\"], allow_private_addresses = true, max_redirects = 0 }\n";
const DISK: &str = "[[handlers]]\ntype = \"filesystem\"\n\
                    config = { path = \"disk\", read = true, write = true, execute = true, allowed_commands = [\"sh\"] }\n";
const ENVIRONMENT: &str = "[[handlers]]\ntype = \"environment\"\n\
                           config = { allowed_vars = [\"HOME\"], allowed_prefixes = [\"THEATER_\"], allow_list_all = true }\n";
const PROGRAMS: &str = "[[handlers]]\ntype = \"process\"\n\
                        config = { allowed_programs = [\"sh\"], allowed_paths = [\".\"], max_processes = 64 }\n";
const RANDOM: &str = "[[handlers]]\ntype = \"random\"\n";
const SERVERS: &str = "[[handlers]]\ntype = \"http-framework\"\n";
const SITE: &str = "[[handlers]]\ntype = \"filesystem\"\nconfig = { path = \"site\", read = true }\n";
const STORE: &str = "[[handlers]]\ntype = \"store\"\n";
const SUPERVISE: &str = "[[handlers]]\ntype = \"supervisor\"\n\
                         config = { restart = \"on-failure\", max_restarts = 1000000 }\n";
const SUPERVISE_TRANSFERS: &str = "[[handlers]]\ntype = \"supervisor\"\n\
     config = { restart = \"on-failure\", max_restarts = 1000000, children = { account = { restart = \"never\" } } }\n";
const TIMING: &str = "[[handlers]]\ntype = \"timing\"\n";
const TODO_STORE: &str = "[[handlers]]\ntype = \"store\"\nconfig = { stores = [\"todo\"] }\n";
const TODO_TOKEN: &str = "[[handlers]]\ntype = \"environment\"\nconfig = { allowed_vars = [\"TODO_TOKEN\"] }\n";
const WEBSOCKETS: &str = "[[handlers]]\ntype = \"websocket-server\"\nconfig = { path = \"/ws\" }\n";

const ANY_PORT: &str = "init_state = { json = { port = 0 } }\n";

/// All actors that the command line starts, in order.
pub const ROLES: &[Role] = &[
    Role::new("hello-http", &[HTTP], web::hello),
    Role::new("clock", &[HTTP, TIMING], web::clock),
    Role::new("dice", &[HTTP, RANDOM], web::dice),
    Role::new("env", &[HTTP, ENVIRONMENT], web::env),
    Role::new("big-state", &[HTTP], web::big_state),
    Role::new("files", &[HTTP, SITE], web::files),
    // Its count is in linear memory, which only a kept instance retains.
    Role::new("hidden-global", &[HTTP], web::hidden_global).head("instance = \"kept\"\n"),
    Role::new("runtime-probe", &[HTTP], web::runtime_probe),
    Role::new("trapper", &[HTTP], web::trapper),
    Role::new("looper", &[HTTP], web::looper).limits("run_timeout_ms = 300\n"),
    Role::new("allocator", &[HTTP], web::allocator).limits("memory_bytes = 16777216\n"),
    Role::new("hello-routes", &[SERVERS], web::hello_routes).head(ANY_PORT),
    Role::new("proxy", &[SERVERS, CLIENT], web::proxy)
        .head("init_state = { json = { port = 0, upstream = \"http://UPSTREAM\" } }\n"),
    Role::new("todo", &[SERVERS, TODO_STORE, TODO_TOKEN], web::todo)
        .head("init_state = { json = { port = 0, store = \"todo\" } }\n"),
    Role::new("chat", &[SERVERS], sockets::chat).head(ANY_PORT),
    Role::new("jobs", &[SERVERS, PROGRAMS], sockets::jobs).head(ANY_PORT),
    Role::new("parrot", &[WEBSOCKETS], sockets::parrot),
    Role::new("disk", &[TALK, DISK, PROGRAMS], programs::disk),
    Role::new("runner", &[TALK, PROGRAMS], programs::runner),
    Role::new("fetch", &[TALK, CLIENT], messages::fetch),
    Role::new("file-cache", &[TALK, STORE], messages::file_cache),
    Role::new("counter", &[TALK], messages::counter),
    Role::new("echo", &[TALK], messages::echo),
    Role::new("steps", &[TALK, RANDOM, TIMING], messages::steps)
        .limits("run_timeout_ms = 600000\nstop_grace_ms = 100\n"),
    Role::driven("pong", &[TALK]),
    Role::new("ping", &[TALK], messages::ping),
    Role::driven("broker", &[TALK]),
    Role::new("subscriber", &[TALK], messages::subscriber),
    Role::new(TWICE, &[TALK], messages::chatters),
    Role::new("switchboard", &[TALK, SERVERS, STORE], switchboard::all),
    Role::new("teller", &[TALK, SUPERVISE_TRANSFERS], family::teller),
    Role::new("tree", &[TALK, SUPERVISE, TIMING], family::tree),
];

/// The actors that other actors spawn: name, handlers and limits.
pub const CHILDREN: [(&str, &[&str], &str); 3] = [
    ("account", &["[[handlers]]\ntype = \"message-server\"\n"], ""),
    ("transfer", &["[[handlers]]\ntype = \"message-server\"\n"], ""),
    ("worker", &["[[handlers]]\ntype = \"message-server\"\n", TIMING], "call_timeout_ms = 300\n"),
];
