//! Rust source files as text: code without comments and literals, and the import graph of the workspace's crates.
//!
//! The graph is what `tests/architecture.rs` checks and what the program `imports` prints. An arrow leads from a file to
//! the file that defines the name it uses; re-exports are followed. A parent module that re-exports from its own
//! submodules has no arrow to them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::repository;

/// Blanks comments, and the contents of string and character literals. The number of lines does not change.
#[must_use]
pub fn code(source: &str) -> String {
    let mut out = String::new();
    let mut rest = source;
    let blank = |text: &str| text.chars().filter(|c| *c == '\n').collect::<String>();
    while let Some(c) = rest.chars().next() {
        let before = out.chars().next_back().unwrap_or(' ');
        let length = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            'r' if !before.is_alphanumeric() && before != '_' => raw_string(rest).unwrap_or(0),
            '"' => string(rest),
            '\'' => character(rest),
            _ => 0,
        };
        if length == 0 {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            out.push_str(&blank(&rest[..length]));
            out.push(' ');
            rest = &rest[length..];
        }
    }
    out
}

fn raw_string(text: &str) -> Option<usize> {
    let hashes = text[1..].chars().take_while(|c| *c == '#').count();
    let body = text[1 + hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(2 + hashes + body.find(&end)? + end.len())
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A character literal; a lifetime is none.
fn character(text: &str) -> usize {
    let mut inside = text[1..].char_indices();
    match inside.next() {
        Some((_, '\\')) => text[3..].find('\'').map_or(0, |end| 3 + end + 1),
        Some((_, _)) => inside.next().filter(|(_, c)| *c == '\'').map_or(0, |(at, _)| 1 + at + 1),
        None => 0,
    }
}

/// A source file: its path in the repository and its text.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// The path in the repository.
    pub path: String,
    /// The text.
    pub text: String,
}

/// The folders with the crates that are shipped: a crate has its source in `src/`.
const ROOTS: [&str; 4] = ["runtime", "plugin-api", "plugins", "plugins/shared"];

/// Reads the source files of all shipped crates, without test files.
///
/// # Panics
/// When a file cannot be read.
#[must_use]
pub fn shipped_files() -> Vec<SourceFile> {
    let mut files = Vec::new();
    for root in ROOTS {
        let folder = repository().join(root);
        collect(&folder.join("src"), &mut files);
        for entry in std::fs::read_dir(&folder).expect("the folder is readable") {
            let crate_folder = entry.expect("the entry is readable").path();
            if crate_folder.join("Cargo.toml").exists() {
                collect(&crate_folder.join("src"), &mut files);
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|a, b| a.path == b.path);
    files
}

fn collect(folder: &Path, files: &mut Vec<SourceFile>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            collect(&path, files);
        } else if name.ends_with(".rs") && name != "tests.rs" && !name.ends_with("_tests.rs") {
            let text = std::fs::read_to_string(&path).expect("the file is readable");
            let path = path.strip_prefix(repository()).unwrap_or(&path).display().to_string();
            files.push(SourceFile { path, text });
        }
    }
}

/// A module: the crate's name and the path within it.
type Module = (String, Vec<String>);

/// The import graph.
#[derive(Debug, Default)]
pub struct Imports {
    /// From file to file, each with the names that are used.
    pub arrows: BTreeMap<(String, String), BTreeSet<String>>,
}

struct Parsed {
    path: String,
    module: Module,
    uses: Vec<Use>,
}

struct Use {
    segments: Vec<String>,
    is_public: bool,
}

impl Imports {
    /// Computes the graph of the files.
    #[must_use]
    pub fn of(files: &[SourceFile]) -> Self {
        let parsed: Vec<_> = files.iter().filter_map(parse).collect();
        let modules: BTreeMap<&Module, &Parsed> = parsed.iter().map(|file| (&file.module, file)).collect();
        let mut imports = Self::default();
        for file in &parsed {
            for used in &file.uses {
                let Some(target) = resolve(&modules, &file.module, &used.segments, 0) else { continue };
                let is_own_part = target.module.0 == file.module.0 && target.module.1.starts_with(&file.module.1);
                if target.path == file.path || is_own_part && used.is_public {
                    continue;
                }
                let name = used.segments.last().cloned().unwrap_or_default();
                imports.arrows.entry((file.path.clone(), target.path.clone())).or_default().insert(name);
            }
        }
        imports
    }

    /// The number of arrows between folders, from and to.
    #[must_use]
    pub fn folders(&self) -> BTreeMap<(String, String), usize> {
        let mut folders = BTreeMap::new();
        for (from, to) in self.arrows.keys() {
            let (from, to) = (folder_of(from), folder_of(to));
            if from != to {
                *folders.entry((from, to)).or_default() += 1;
            }
        }
        folders
    }

    /// The groups of files that use each other, directly or through others; each group sorted.
    #[must_use]
    pub fn cycles(&self, is_allowed: impl Fn(&str, &str) -> bool) -> Vec<Vec<String>> {
        let mut to: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (from, target) in self.arrows.keys().filter(|(from, target)| !is_allowed(from, target)) {
            to.entry(from).or_default().insert(target);
        }
        let reach = |start: &str| {
            let (mut seen, mut open) = (BTreeSet::new(), vec![start.to_owned()]);
            while let Some(file) = open.pop() {
                for next in to.get(file.as_str()).into_iter().flatten() {
                    if seen.insert((*next).to_owned()) {
                        open.push((*next).to_owned());
                    }
                }
            }
            seen
        };
        let reached: BTreeMap<&str, BTreeSet<String>> = to.keys().map(|file| (*file, reach(file))).collect();
        let mut groups = BTreeSet::new();
        for (file, seen) in reached.iter().filter(|(file, seen)| seen.contains(**file)) {
            let group: Vec<String> = seen
                .iter()
                .filter(|other| reached.get(other.as_str()).is_some_and(|s| s.contains(*file)))
                .cloned()
                .collect();
            groups.insert(group);
        }
        groups.into_iter().collect()
    }
}

/// The folder of a file of the graph: within `runtime/src` the floor, else the crate.
#[must_use]
pub fn folder_of(path: &str) -> String {
    match path.strip_prefix("runtime/src/") {
        Some(rest) => format!("runtime/src/{}", rest.split('/').next().unwrap_or(rest).trim_end_matches(".rs")),
        None => path.split("/src/").next().unwrap_or(path).to_owned(),
    }
}

fn parse(file: &SourceFile) -> Option<Parsed> {
    let (folder, within) = file.path.split_once("/src/")?;
    let crate_name = match folder {
        "runtime" => "theater_runtime".to_owned(),
        "runtime/chain" => "theater_chain".to_owned(),
        "plugin-api" => "theater_plugin_api".to_owned(),
        "plugin-api/encoding" => "theater_encoding".to_owned(),
        other => format!("theater_{}", other.rsplit('/').next()?.replace('-', "_")),
    };
    let mut module: Vec<String> = within.trim_end_matches(".rs").split('/').map(ToOwned::to_owned).collect();
    if module.last().is_some_and(|last| last == "lib") {
        module.pop();
    }
    let text = file.text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    Some(Parsed { path: file.path.clone(), uses: uses(&code(text)), module: (crate_name, module) })
}

/// The paths that code names: in `use` items, and in expressions that begin with `crate`, `super` or one of our crates.
fn uses(code: &str) -> Vec<Use> {
    let mut all = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find("use ") {
        let before = rest[..at].trim_end();
        let starts_item = before.is_empty()
            || before.ends_with([';', '}', ']', '{'])
            || before.ends_with("pub")
            || before.ends_with(')');
        let Some(end) = rest[at..].find(';') else { break };
        let tree = &rest[at + 4..at + end];
        if starts_item && !tree.contains('=') {
            let is_public = before.ends_with("pub") || before.ends_with(')');
            expand(tree, &[], &mut |segments| all.push(Use { segments, is_public }));
            rest = &rest[at + end..];
        } else {
            rest = &rest[at + 4..];
        }
    }
    for (at, _) in code.match_indices("::") {
        let start = code[..at].rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |found| found + 1);
        let first = &code[start..at];
        let is_root = first == "crate" || first == "super" || first.starts_with("theater_");
        if is_root && !code[..start].ends_with("::") {
            let path =
                code[start..].split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').next().unwrap_or_default();
            let segments = path.split("::").filter(|part| !part.is_empty()).map(ToOwned::to_owned).collect();
            all.push(Use { segments, is_public: false });
        }
    }
    all
}

fn expand(tree: &str, prefix: &[String], each: &mut impl FnMut(Vec<String>)) {
    let tree = tree.trim();
    if let Some(open) = tree.find('{') {
        let mut longer = prefix.to_vec();
        longer.extend(tree[..open].split("::").map(str::trim).filter(|part| !part.is_empty()).map(ToOwned::to_owned));
        let inside = tree[open + 1..].trim_end().trim_end_matches('}');
        let (mut depth, mut start) = (0, 0);
        for (at, c) in inside.char_indices().chain([(inside.len(), ',')]) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    let part = &inside[start..at];
                    if !part.trim().is_empty() {
                        expand(part, &longer, each);
                    }
                    start = at + 1;
                }
                _ => {}
            }
        }
        return;
    }
    let tree = tree.split(" as ").next().unwrap_or(tree);
    let mut segments = prefix.to_vec();
    segments.extend(
        tree.split("::").map(str::trim).filter(|part| !part.is_empty() && *part != "self").map(ToOwned::to_owned),
    );
    each(segments);
}

fn resolve<'a>(
    modules: &BTreeMap<&Module, &'a Parsed>,
    from: &Module,
    segments: &[String],
    depth: usize,
) -> Option<&'a Parsed> {
    if depth > 8 {
        return None;
    }
    let (krate, mut path, rest) = match segments.first()?.as_str() {
        "crate" => (from.0.clone(), Vec::new(), &segments[1..]),
        "super" => {
            let ups = segments.iter().take_while(|segment| *segment == "super").count();
            let length = from.1.len().checked_sub(ups)?;
            (from.0.clone(), from.1[..length].to_vec(), &segments[ups..])
        }
        name if name.starts_with("theater_") => (name.to_owned(), Vec::new(), &segments[1..]),
        name => {
            // A name in a `use` may be a child module.
            let mut child = from.1.clone();
            child.push(name.to_owned());
            modules.get(&(from.0.clone(), child))?;
            (from.0.clone(), from.1.clone(), segments)
        }
    };
    let mut rest = rest;
    while let Some((first, after)) = rest.split_first() {
        let mut longer = path.clone();
        longer.push(first.clone());
        if !modules.contains_key(&(krate.clone(), longer.clone())) {
            break;
        }
        (path, rest) = (longer, after);
    }
    let module = (krate, path);
    let found = modules.get(&module)?;
    // A name that this module re-exports is defined elsewhere.
    let name = rest.first()?;
    let exported = found.uses.iter().find(|used| used.is_public && used.segments.last() == Some(name));
    match exported {
        Some(used) if used.segments != segments => resolve(modules, &module, &used.segments, depth + 1).or(Some(found)),
        _ => Some(found),
    }
}
