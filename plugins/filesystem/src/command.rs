//! Runs programs in the folder.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use futures_lite::future::{or, zip};
use theater_child_process::{Captured, Confinement, Running, Stdio, capture, exit_code};
use theater_plugin_api::Host;

use crate::config::Config;
use crate::error::Error;
use crate::theater::simple::filesystem::{CommandError, CommandResult, CommandSuccess};

/// The program that `execute-nix-command` runs.
pub const NIX: &str = "nix";
/// The maximum number of bytes to return of standard output, and of standard error.
const MOST_OUTPUT: usize = 1 << 20;
/// How long to wait, after the program has ended, for pipes that another process still holds open.
const SILENCE: Duration = Duration::from_secs(2);

/// Splits a command line into words. Blanks, quotes and backslashes work as in a shell (POSIX.1-2017, section 2.2);
/// nothing is expanded.
pub fn split_words(line: &str) -> Result<Vec<String>, Error> {
    let words = shell_words::split(line).ok().filter(|words| !words.is_empty());
    words.ok_or_else(|| Error::Words(line.to_owned()))
}

/// Runs a program until it ends, then kills what it started and left behind. The whole group is also killed at the
/// timeout, when the actor stops, and when the call is interrupted.
pub async fn run(
    host: &Host,
    config: &Config,
    file: &Path,
    args: Vec<String>,
    folder: OwnedFd,
    confinement: Option<Confinement>,
) -> Result<CommandResult, Error> {
    if args.iter().chain(config.env.values()).chain(config.env.keys()).any(|text| text.contains('\0')) {
        return Err(Error::Nul);
    }
    let mut command = Command::new(file);
    command.args(args).env_clear().envs(&config.env);
    let failed =
        |what: String| Ok(CommandResult::Error(CommandError { message: format!("{}: {what}", file.display()) }));
    let running = match Running::start(command, Stdio::null(), Some(folder), confinement).await {
        Ok(running) => running,
        Err(error) => return failed(format!("could not be started: {error}")),
    };
    let timeout = Duration::from_millis(config.command_timeout_ms);
    let late = async {
        host.sleep(timeout).await;
        CommandEnd::TimedOut
    };
    let stopped = async {
        host.cancelled().await;
        CommandEnd::Stopped
    };
    match or(or(wait_for_end(host, running), late), stopped).await {
        CommandEnd::Stopped => Err(Error::Stopped),
        CommandEnd::TimedOut => failed(format!(
            "exceeded the timeout of {} ms (command_timeout_ms) and was killed with all it started",
            timeout.as_millis()
        )),
        CommandEnd::Failed(error) => failed(format!("could not wait for its end: {error}")),
        CommandEnd::Ended(code, _, _) if code < 0 => failed(format!("was ended by signal {}", -code)),
        CommandEnd::Ended(exit_code, stdout, stderr) => {
            Ok(CommandResult::Success(CommandSuccess { stdout: text(stdout), stderr: text(stderr), exit_code }))
        }
    }
}

enum CommandEnd {
    Ended(i32, Captured, Captured),
    Failed(std::io::Error),
    TimedOut,
    Stopped,
}

async fn wait_for_end(host: &Host, running: Running) -> CommandEnd {
    let Running { group, stdout, stderr, .. } = running;
    let (mut out, mut err) = (Captured::default(), Captured::default());
    let status = async {
        group.ended().await?;
        group.reap().await
    };
    // Do not wait for a process that left the group and holds a pipe open.
    let alone = async {
        group.ended().await?;
        host.sleep(SILENCE).await;
        Ok(())
    };
    let output = async {
        let (out, err) = zip(capture(stdout, MOST_OUTPUT, &mut out), capture(stderr, MOST_OUTPUT, &mut err)).await;
        out.and(err)
    };
    match zip(status, or(output, alone)).await {
        (Ok(status), Ok(())) => CommandEnd::Ended(exit_code(status), out, err),
        (Err(error), _) | (_, Err(error)) => CommandEnd::Failed(error),
    }
}

fn text(captured: Captured) -> String {
    let Captured { bytes, total } = captured;
    let kept = bytes.len();
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if kept as u64 != total {
        text.push_str(&format!("\n[cut: the first {kept} of {total} bytes]"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [filesystem-44]
    #[test]
    fn a_command_line_is_split_into_words_and_nothing_is_expanded() {
        let split = |line: &str| split_words(line).unwrap();
        assert_eq!(split("echo 'a b'  \"c d\" e\\ f"), ["echo", "a b", "c d", "e f"]);
        assert_eq!(split("$HOME ~ * `id` $(id) nixpkgs#hello"), ["$HOME", "~", "*", "`id`", "$(id)", "nixpkgs#hello"]);
        for line in ["", "  ", "'open", "\"open"] {
            assert!(matches!(split_words(line), Err(Error::Words(_))), "{line:?}");
        }
    }
}
