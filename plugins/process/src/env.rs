//! Decides which environment variables an actor may give its programs.
//!
//! A variable can decide what a program does: `LD_PRELOAD` makes the loader run any code, `BASH_ENV` a shell,
//! `PYTHONPATH` an interpreter. So an actor may give only the variables listed in `allowed_env`. A prefix there never
//! covers a name that is known to decide what runs: each of these must be listed in full.

/// Variables that decide what runs, by name or, with `*` at the end, by prefix: those of the loader, of shells, of
/// interpreters, and of tools that run other programs.
const DECISIVE: [&str; 80] = [
    "LD_*",
    "DYLD_*",
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "LOCPATH",
    "NLSPATH",
    "HOSTALIASES",
    "MALLOC_*",
    "ENV",
    "BASH_*",
    "BASHOPTS",
    "SHELLOPTS",
    "SHELL",
    "IFS",
    "PS4",
    "CDPATH",
    "ZDOTDIR",
    "PATH",
    "HOME",
    "XDG_*",
    "PYTHON*",
    "PERL*",
    "RUBY*",
    "GEM_*",
    "BUNDLE_*",
    "NODE_*",
    "NPM_*",
    "LUA_*",
    "PHP*",
    "JAVA_*",
    "_JAVA_*",
    "JDK_*",
    "CLASSPATH",
    "GIT_*",
    "SSH_*",
    "CARGO_*",
    "RUSTC*",
    "RUSTFLAGS",
    "MAKE*",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "LESS*",
    "BROWSER",
    "OPENSSL_*",
    "TERMINFO*",
    "SYSTEMD_*",
    "TAR_*",
    "AWK*",
    "DOTNET_*",
    "CORECLR_*",
    "MONO_*",
    "ERL_*",
    "R_*",
    "JULIA_*",
    "GUILE_*",
    "DENO_*",
    "PIP_*",
    "UV_*",
    "GO*",
    "MAVEN_*",
    "GRADLE_*",
    "GTK_*",
    "GIO_*",
    "QT_*",
    "GST_*",
    "LIBMYSQL_*",
    "KRB5_*",
    "SASL_*",
    "VK_*",
    "OCL_*",
    "ALSA_*",
    "MAGICK_*",
    "AWS_*",
    "DOCKER_*",
    "SSL_*",
    "RSYNC_*",
    "CVS_*",
    "SUDO_*",
    "CURL_*",
];

/// Folders of the system's own programs: a `PATH` with only these leads to no other programs.
const SYSTEM: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Returns whether an actor may give its programs this variable.
pub fn is_allowed(allowed: &[String], name: &str, value: &str) -> bool {
    if allowed.iter().any(|one| one == name) {
        return true;
    }
    if name == "PATH" {
        return value.split(':').all(|folder| SYSTEM.contains(&folder));
    }
    // A prefix must be a namespace such as APP_*: a short one would cover decisive names that the list above lacks.
    let is_space = |prefix: &str| prefix.len() > 2 && prefix.ends_with('_');
    let by_prefix =
        |one: &String| one.strip_suffix('*').is_some_and(|prefix| is_space(prefix) && name.starts_with(prefix));
    allowed.iter().any(by_prefix) && !is_decisive(name)
}

fn is_decisive(name: &str) -> bool {
    let is = |known: &&str| known.strip_suffix('*').map_or(name == *known, |prefix| name.starts_with(prefix));
    name.ends_with("_PRELOAD") || DECISIVE.iter().any(is)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(allowed: &[&str], name: &str) -> bool {
        let allowed: Vec<_> = allowed.iter().map(ToString::to_string).collect();
        is_allowed(&allowed, name, "/tmp/x")
    }

    #[test]
    fn nothing_is_allowed_that_is_not_listed() {
        for name in ["A", "LANG", "LD_PRELOAD", "LD_DEBUG_OUTPUT", "PATH", "ENV"] {
            assert!(!allows(&[], name), "{name}");
        }
        assert!(allows(&["LANG"], "LANG") && !allows(&["LANG"], "LANGUAGE"));
        assert!(allows(&["APP_*"], "APP_MODE") && allows(&["APP_*"], "APP_") && !allows(&["APP_*"], "APP"));
    }

    #[test]
    fn what_decides_what_runs_is_listed_in_full_or_not_allowed() {
        let decisive = [
            "LD_PRELOAD",
            "LD_LIBRARY_PATH",
            "LD_AUDIT",
            "LD_DEBUG_OUTPUT",
            "X_PRELOAD",
            "BASH_ENV",
            "ENV",
            "PYTHONPATH",
            "PYTHONSTARTUP",
            "PERL5OPT",
            "PERL5LIB",
            "RUBYOPT",
            "NODE_OPTIONS",
            "GIT_SSH_COMMAND",
            "PATH",
            "GCONV_PATH",
            "GLIBC_TUNABLES",
            "JAVA_TOOL_OPTIONS",
            "LESSOPEN",
            "PAGER",
            "EDITOR",
            "IFS",
            "HOME",
            "MAKEFLAGS",
            "TAR_OPTIONS",
            "AWKPATH",
        ];
        for name in decisive {
            let first = name.get(..1).unwrap();
            let space = name.split_once('_').map(|(space, _)| format!("{space}_*")).unwrap_or_default();
            assert!(!allows(&["*", &format!("{first}*"), &space], name), "{name}");
            assert!(allows(&[name], name), "{name}");
        }
        assert!(!allows(&["*", "L*", "LANG*"], "LANG") && allows(&["LC_*"], "LC_ALL"));
    }

    #[test]
    fn a_path_of_the_systems_folders_decides_nothing() {
        assert!(is_allowed(&[], "PATH", "/usr/bin:/bin"));
        for path in ["", "/usr/bin:", "/tmp:/bin", "/usr/bin/../../tmp", ".", "/bin:relative"] {
            assert!(!is_allowed(&[], "PATH", path), "{path}");
        }
    }
}
