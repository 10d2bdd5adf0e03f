//! The descriptor: a plugin's metadata, which the core reads without running any of its code.
//!
//! It is the content of the linker section [`SECTION`] of the shared library:
//!
//! | offset | size | what |
//! |---|---|---|
//! | 0 | 8 | [`MAGIC`] |
//! | 8 | 4 | layout of the descriptor, little-endian, [`LAYOUT`] |
//! | 12 | 2 | ABI major |
//! | 14 | 2 | ABI minor |
//! | 16 | 1 | panic strategy: 0 unwind, 1 abort |
//! | 17 | 1 | architecture: 1 x86-64, 2 arm64 |
//! | 18 | 2 | zero |
//! | 20 | 4 | length of what follows |
//! | 24 | | JSON of [`Descriptor`], UTF-8 |
//!
//! The fields before the JSON never move, so that any core can read the ABI version of any plugin. Bytes after the
//! announced length are ignored. A section that is too short, has other magic bytes or another layout, or whose text is
//! not UTF-8 is a [`SectionError`].

use serde::{Deserialize, Serialize};

/// Name of the linker section. A file without it is not a plugin.
pub const SECTION: &str = ".theater.plugin";
/// The first eight bytes of the section.
pub const MAGIC: [u8; 8] = *b"THEATER\0";
/// The only layout that exists.
pub const LAYOUT: u32 = 1;
/// Bytes before the JSON.
pub const HEADER: usize = 24;

/// A plugin's metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Descriptor {
    /// The plugin's name; one per plugin folder.
    pub name: String,
    /// The plugin's version (semver).
    pub version: String,
    /// Services of the core that it needs, with the minimum minor of each.
    pub services: Vec<(String, u32)>,
    /// The packages of its WIT, each a list of (file name, text). A package follows those that it uses.
    pub wit: Vec<Vec<(String, String)>>,
    /// The handler types that a manifest can name; those of third parties are `vendor:name`.
    pub handlers: Vec<String>,
    /// The interfaces that it implements for actors.
    pub provides: Vec<Provided>,
    /// The exports of actors that it calls.
    pub calls: Vec<Called>,
    /// JSON schema of the `config` of its handlers.
    pub config: serde_json::Value,
    /// URL schemes that it resolves.
    pub schemes: Vec<String>,
    /// Operator commands that it runs, each with one line of help.
    pub commands: Vec<(String, String)>,
    /// Whether it is attached, without a manifest entry, to every actor whose component imports one of its interfaces.
    pub ambient: bool,
}

/// An interface that a plugin implements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provided {
    /// `package:name/interface`, with `@version` if it has one.
    pub interface: String,
    /// Its functions. The ABI numbers the functions of all provided interfaces consecutively, in this order.
    pub functions: Vec<ProvidedFunction>,
}

/// A function that a plugin implements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProvidedFunction {
    /// Its name in WIT.
    pub name: String,
    /// Whether it is called through `call` (with a future) rather than `call_sync`.
    pub r#async: bool,
    /// The effect of a call on the outside.
    pub effect: Effect,
    /// The case of its error (a variant or an enum) that reports a fault: a panic in the plugin, or an effect whose
    /// outcome is unknown. Its payload is `string` or nothing. An error of type `string` needs no case. With neither, a
    /// fault fails the calling actor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// The effect of a call on the outside. It determines how the call is recorded and what a replay does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// The result is a function of arguments and config.
    Pure,
    /// The result depends on the outside, which the call does not change.
    Read,
    /// Changes the outside: recorded before and after the call. After a crash in between, the outcome is unknown, and
    /// the actor receives an `err` that says so.
    Effect,
    /// Changes the outside at most once for each [key](crate::Call::key): recorded like `Effect`, and retried with the
    /// same key after a crash in between.
    Idempotent,
    /// The result is a function of chains: recorded as a reference, and computed again on replay.
    Chain,
}

impl Effect {
    /// Whether a call changes the outside. The intent of such a call is on disk before the call is made.
    #[must_use]
    pub const fn changes(self) -> bool {
        matches!(self, Self::Effect | Self::Idempotent)
    }
}

/// An interface of the actor that a plugin calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Called {
    /// `package:name/interface`.
    pub interface: String,
    /// Its functions. The ABI numbers the functions of all called interfaces consecutively, in this order.
    pub functions: Vec<String>,
    /// Whether an actor that does not export it fails to start.
    pub required: bool,
}

/// The bytes of the section, which `bindings!` stores in a static.
///
/// `N` must be [`HEADER`] plus the length of `json`.
#[must_use]
pub const fn section<const N: usize>(json: &[u8], panic_aborts: bool) -> [u8; N] {
    assert!(N == HEADER + json.len(), "a descriptor is its header and its JSON");
    let mut bytes = [0u8; N];
    let magic = MAGIC;
    let layout = LAYOUT.to_le_bytes();
    let major = theater_plugin_abi::ABI_MAJOR.to_le_bytes();
    let minor = theater_plugin_abi::ABI_MINOR.to_le_bytes();
    let length = (json.len() as u32).to_le_bytes();
    let (head, body) = bytes.split_at_mut(HEADER);
    let (a, rest) = head.split_at_mut(8);
    a.copy_from_slice(&magic);
    let (b, rest) = rest.split_at_mut(4);
    b.copy_from_slice(&layout);
    let (c, rest) = rest.split_at_mut(2);
    c.copy_from_slice(&major);
    let (d, rest) = rest.split_at_mut(2);
    d.copy_from_slice(&minor);
    let (e, rest) = rest.split_at_mut(4);
    e.copy_from_slice(&[panic_aborts as u8, if cfg!(target_arch = "aarch64") { 2 } else { 1 }, 0, 0]);
    rest.copy_from_slice(&length);
    body.copy_from_slice(json);
    bytes
}

/// The content of a section.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// The ABI version that the plugin was built for.
    pub abi: (u16, u16),
    /// Whether its panics abort the process.
    pub panic_aborts: bool,
    /// The number of the architecture, as in the table above.
    pub architecture: u8,
    /// The JSON, not parsed: its keys depend on the ABI version.
    pub json: String,
}

/// Why a section is not a descriptor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SectionError {
    /// It is shorter than its header or its announced length.
    #[error("the section {SECTION} ends early: {have} bytes where {want} are announced")]
    Short {
        /// The number of bytes in the section.
        have: usize,
        /// The number of bytes announced.
        want: usize,
    },
    /// The magic bytes differ.
    #[error("the section {SECTION} does not start with the magic THEATER")]
    Magic,
    /// This core does not know the layout.
    #[error("the section {SECTION} has layout {0}, this core reads layout {LAYOUT}")]
    Layout(u32),
    /// The text is not UTF-8.
    #[error("the text in the section {SECTION} is not UTF-8")]
    Utf8,
}

/// Parses a section.
///
/// # Errors
/// The section is not a descriptor of a layout that this core knows.
pub fn parse_section(bytes: &[u8]) -> Result<Section, SectionError> {
    let short = |want| SectionError::Short { have: bytes.len(), want };
    let (header, rest) = bytes.split_first_chunk::<HEADER>().ok_or_else(|| short(HEADER))?;
    let [magic @ .., l0, l1, l2, l3, j0, j1, n0, n1, panic, architecture, _, _, s0, s1, s2, s3] = *header;
    if magic != MAGIC {
        return Err(SectionError::Magic);
    }
    let layout = u32::from_le_bytes([l0, l1, l2, l3]);
    if layout != LAYOUT {
        return Err(SectionError::Layout(layout));
    }
    let length = u32::from_le_bytes([s0, s1, s2, s3]) as usize;
    let json = rest.get(..length).ok_or_else(|| short(HEADER + length))?;
    Ok(Section {
        abi: (u16::from_le_bytes([j0, j1]), u16::from_le_bytes([n0, n1])),
        panic_aborts: panic != 0,
        architecture,
        json: std::str::from_utf8(json).map_err(|_| SectionError::Utf8)?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: [u8; HEADER + 2] = section(b"{}", false);

    #[test]
    fn a_section_reads_back() {
        let section = parse_section(&SAMPLE).unwrap();
        assert_eq!(section.abi, (theater_plugin_abi::ABI_MAJOR, theater_plugin_abi::ABI_MINOR));
        assert_eq!((section.panic_aborts, section.json.as_str()), (false, "{}"));
    }

    #[test]
    fn a_damaged_section_says_what_is_wrong() {
        assert_eq!(parse_section(&SAMPLE[..25]), Err(SectionError::Short { have: 25, want: 26 }));
        let mut magic = SAMPLE;
        magic[0] = b'X';
        assert_eq!(parse_section(&magic), Err(SectionError::Magic));
        let mut layout = SAMPLE;
        layout[8] = 9;
        assert_eq!(parse_section(&layout), Err(SectionError::Layout(9)));
    }
}
