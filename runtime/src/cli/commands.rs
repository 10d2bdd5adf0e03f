//! Commands of plugins: `theater NAME WORDS..` and, for running actors, `theater run MANIFEST --NAME ACTOR=JSON`.
//!
//! Their names and help texts come from the plugins' descriptors.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches};
use serde_json::{Value as Json, json};
use theater_runtime::core::{Core, Options};
use theater_runtime::plugin::discovery::Plugins;
use theater_runtime::support::error::suggest;
use theater_runtime::support::executor;

use super::{Cli, CommandResult, Common, EXAMPLES, print_json, print_line};

/// A plugin command for an actor that `theater run` starts.
pub struct ActorCommand {
    /// The command's name.
    pub command: String,
    /// The actor's name or id.
    pub actor: String,
    /// The argument.
    pub value: Json,
}

/// Parses the command line. The plugin folder is read only for an unknown option or for help.
pub fn parse() -> (Cli, Vec<ActorCommand>) {
    let words = own_options_first(std::env::args_os().collect());
    let first = Cli::command().try_get_matches_from(&words);
    let (matches, commands) = match first {
        Ok(matches) => (matches, Vec::new()),
        Err(error) if matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::DisplayHelp) => {
            let commands = commands_of(&words);
            (extended(&commands).get_matches_from(&words), commands)
        }
        Err(error) => error.exit(),
    };
    let actor_commands = actor_commands(&matches, &commands).unwrap_or_else(|sentence| {
        Cli::command().error(ErrorKind::ValueValidation, sentence).exit();
    });
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    (cli, actor_commands)
}

/// Moves the program's own options before a plugin's command, where clap recognizes them.
fn own_options_first(words: Vec<OsString>) -> Vec<OsString> {
    let own = Cli::command();
    let takes_value = |word: &str| {
        own.get_arguments().filter(|known| known.get_action().takes_values()).any(|known| {
            let long = known.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long));
            long || known.get_short().is_some_and(|short| word == format!("-{short}"))
        })
    };
    let (mut options, mut rest) = (Vec::new(), Vec::new());
    let mut left = words.iter().skip(1);
    while let Some(word) = left.next() {
        let text = word.to_string_lossy();
        if takes_value(&text) {
            options.push(word);
            options.extend(left.next());
        } else if text.split_once('=').is_some_and(|(name, _)| takes_value(name)) {
            options.push(word);
        } else {
            rest.push(word);
        }
    }
    match rest.first().map(|command| command.to_string_lossy()) {
        Some(command) if !command.starts_with('-') && command != "help" && own.find_subcommand(&*command).is_none() => {
            words.iter().take(1).chain(options).chain(rest).cloned().collect()
        }
        _ => words,
    }
}

/// Names and help texts of the commands of the plugins in `--plugins` or the default folder.
fn commands_of(words: &[OsString]) -> Vec<(String, String)> {
    let mut folder = None;
    let mut words = words.iter().filter_map(|word| word.to_str());
    while let Some(word) = words.next() {
        if word == "--plugins" {
            folder = words.next().map(PathBuf::from);
        } else if let Some(path) = word.strip_prefix("--plugins=") {
            folder = Some(PathBuf::from(path));
        }
    }
    let Ok(plugins) = Plugins::find(&folder.unwrap_or_else(super::default_plugins)) else { return Vec::new() };
    let own = Cli::command();
    let taken = |name: &str| {
        let run = own.find_subcommand("run");
        run.into_iter().chain([&own]).flat_map(Command::get_arguments).any(|known| known.get_id() == name)
    };
    let all = plugins.all().flat_map(|found| found.descriptor.commands.clone());
    all.filter(|(name, _)| !taken(name)).collect()
}

/// The command line extended by the plugins' commands: an option of `run` for each, and a list in the help.
fn extended(commands: &[(String, String)]) -> Command {
    let width = commands.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let lines: String = commands.iter().map(|(name, help)| format!("  {name:width$}  {help}\n")).collect();
    let of_plugins = if lines.is_empty() { lines } else { format!("Plugin commands:\n{lines}\n") };
    Cli::command().after_help(format!("{of_plugins}{EXAMPLES}")).mut_subcommand("run", |run| {
        commands.iter().fold(run, |run, (name, help)| {
            let option = Arg::new(name.clone()).long(name.clone()).value_name("ACTOR=JSON").action(ArgAction::Append);
            run.arg(option.help(format!("{help} (runs when all actors are ready; then the program ends)")))
        })
    })
}

/// The plugin commands of `run`, in the order of the command line.
fn actor_commands(matches: &ArgMatches, commands: &[(String, String)]) -> Result<Vec<ActorCommand>, String> {
    let Some(("run", run)) = matches.subcommand() else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for (name, _) in commands {
        let Some(values) = run.get_many::<String>(name) else { continue };
        for (index, value) in run.indices_of(name).into_iter().flatten().zip(values) {
            all.push((index, parse_actor_command(name, value)?));
        }
    }
    all.sort_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, command)| command).collect())
}

fn parse_actor_command(command: &str, text: &str) -> Result<ActorCommand, String> {
    let (actor, value) =
        text.split_once('=').ok_or_else(|| format!("--{command} {text:?}: write --{command} ACTOR=JSON"))?;
    let value = serde_json::from_str(value)
        .map_err(|error| format!("--{command} {text:?}: {value:?} is not JSON ({error}); text needs quotes"))?;
    Ok(ActorCommand { command: command.to_owned(), actor: actor.to_owned(), value })
}

/// Runs `theater NAME WORDS..`.
pub fn run(words: &[OsString], common: &Common) -> CommandResult {
    let mut words = words.iter().map(|word| word.to_string_lossy().into_owned());
    let name = words.next().unwrap_or_default();
    let plugins = Plugins::find(&common.plugins())?;
    let known: Vec<_> =
        plugins.all().flat_map(|found| &found.descriptor.commands).map(|(known, _)| known.clone()).collect();
    if !known.contains(&name) {
        let own = Cli::command();
        let all = own.get_subcommands().map(Command::get_name).chain(known.iter().map(String::as_str));
        let sentence = format!("there is no command {name:?}; {}", suggest(&name, all));
        Cli::command().error(ErrorKind::InvalidSubcommand, sentence).exit();
    }
    executor::init(2);
    let core = Core::open(Options::new(common.plugins(), common.data()))?;
    let arguments = json!({ "args": words.collect::<Vec<_>>() });
    let result = executor::block_on(core.command(&name, &arguments));
    core.services.journal.close();
    if let Some(result) = result {
        show(common, &name, &result?);
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the result of a command. A list is printed with one item per line.
fn show(common: &Common, name: &str, result: &Json) {
    let items = match result {
        Json::Array(items) => items.iter().collect(),
        Json::Null => Vec::new(),
        one => vec![one],
    };
    for item in items {
        if common.is_json() {
            print_json(&json!({"event": name, "result": item}));
        } else {
            print_line(&plain(item));
        }
    }
}

/// Formats a value for people: a string without quotes, any other value as JSON.
pub fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}
