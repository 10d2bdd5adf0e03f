//! The descriptor: what a plugin says of itself, readable without running any of its code.
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
//! The fields before the JSON never move, so that any core can say which ABI a plugin of any age was built for.

use serde::{Deserialize, Serialize};

/// Name of the linker section; only files that have it are plugins.
pub const SECTION: &str = ".theater.plugin";
/// The first eight bytes of the section.
pub const MAGIC: [u8; 8] = *b"THEATER\0";
/// The one layout there is.
pub const LAYOUT: u32 = 1;
/// Bytes before the JSON.
pub const HEADER: usize = 24;

/// What a plugin says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Descriptor {
    /// The plugin's name; one per plugin folder.
    pub name: String,
    /// The plugin's version (semver).
    pub version: String,
    /// Services of the core it needs, with the minimum minor of each.
    pub services: Vec<(String, u32)>,
    /// The packages of its WIT, each a list of (file name, text); a package stands behind those it uses.
    pub wit: Vec<Vec<(String, String)>>,
    /// The handler types a manifest names; third parties write `vendor:name`.
    pub handlers: Vec<String>,
    /// The interfaces it implements for actors.
    pub provides: Vec<Provided>,
    /// The exports of actors it calls.
    pub calls: Vec<Called>,
    /// JSON schema of the `config` of its handlers.
    pub config: serde_json::Value,
    /// URL schemes it resolves.
    pub schemes: Vec<String>,
    /// Operator commands it answers, each with one line of help.
    pub commands: Vec<(String, String)>,
    /// Attached to every actor whose component imports one of its interfaces, without a manifest entry.
    pub ambient: bool,
}

/// An interface a plugin implements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provided {
    /// `package:name/interface`, with `@version` if it has one.
    pub interface: String,
    /// Its functions; the ABI numbers them through over all provided interfaces, in this order.
    pub functions: Vec<ProvidedFunction>,
}

/// A function a plugin implements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProvidedFunction {
    /// Its name in WIT.
    pub name: String,
    /// Called through `call` (a future) rather than `call_sync`.
    pub r#async: bool,
    /// What calling it means for the outside.
    pub effect: Effect,
    /// The case of its error (a variant or an enum) that carries a fault: a panic in the plugin, or an effect whose outcome
    /// is unknown. Its payload is `string` or nothing. An error of type `string` needs none. Without either, a fault fails
    /// the calling actor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// What calling a function means for the outside: decides how it is recorded and what a replay does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// The result is a function of arguments and config.
    Pure,
    /// Looks outside.
    Read,
    /// Changes the outside: recorded before and after. After a crash in between the outcome is unknown, and the actor gets an
    /// `err` that says so.
    Effect,
    /// Changes the outside at most once for each [key](crate::Call::key): recorded as `Effect`, and retried with the same key
    /// after a crash in between.
    Idempotent,
    /// The result is a function of chains: recorded as a reference, computed again on replay.
    Chain,
}

impl Effect {
    /// Whether a call changes the outside, and its intent is on the disk before it is made.
    #[must_use]
    pub const fn changes(self) -> bool {
        matches!(self, Self::Effect | Self::Idempotent)
    }
}

/// An interface of the actor's that a plugin calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Called {
    /// `package:name/interface`.
    pub interface: String,
    /// Its functions; the ABI numbers them through over all called interfaces, in this order.
    pub functions: Vec<String>,
    /// An actor that does not export it does not start.
    pub required: bool,
}

/// The bytes of the section: what `bindings!` puts into a static.
///
/// `N` must be [`HEADER`] and the length of `json`.
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

/// A section, read.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// The ABI the plugin was built for.
    pub abi: (u16, u16),
    /// Whether its panics abort the process.
    pub panic_aborts: bool,
    /// The architecture's number in the table above.
    pub architecture: u8,
    /// The JSON, not parsed: what it may say depends on the ABI.
    pub json: String,
}

/// Why a section is no descriptor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SectionError {
    /// Shorter than its header or its length says.
    #[error("the section {SECTION} ends early: {have} bytes where {want} are announced")]
    Short {
        /// How many there are.
        have: usize,
        /// How many there should be.
        want: usize,
    },
    /// The magic is another.
    #[error("the section {SECTION} does not start with the magic THEATER")]
    Magic,
    /// The layout is one this core does not know.
    #[error("the section {SECTION} has layout {0}, this core reads layout {LAYOUT}")]
    Layout(u32),
    /// The text is not UTF-8.
    #[error("the text in the section {SECTION} is not UTF-8")]
    Utf8,
}

/// Reads a section.
///
/// # Errors
/// A [`SectionError`].
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
