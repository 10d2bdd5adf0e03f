//! Validated names: store ids, labels and `store:` URLs.
//!
//! Every name from outside is validated here. A validated name is only used as a key of the index. The only value that
//! becomes part of a path is a [`Hash`], which is 32 bytes.

use crate::error::Error;
use crate::hash::{Hash, digit, quoted};

/// Maximum length of a label in bytes.
const LABEL: usize = 512;
/// Maximum length of a store's name in bytes.
const NAME: usize = 64;

/// Checks that `id` has the form of a store's name. Generated ids have that form too.
///
/// # Errors
/// [`Error::BadStore`].
pub fn check_store(id: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let begins = id.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if begins && id.len() <= NAME && id.bytes().all(allowed) { Ok(()) } else { Err(Error::BadStore(quoted(id))) }
}

/// Checks that `label` is printable and not too long. Printable characters are those that [`str::escape_debug`] leaves
/// unescaped, plus quotes and the backslash: no control characters, line breaks, invisible characters, or spaces other
/// than U+0020.
///
/// # Errors
/// [`Error::BadLabel`].
pub fn check_label(label: &str) -> Result<(), Error> {
    let plain: String = label.chars().filter(|c| !matches!(c, '"' | '\'' | '\\')).collect();
    let printable = plain.escape_debug().eq(plain.chars());
    if (1..=LABEL).contains(&label.len()) && printable { Ok(()) } else { Err(Error::BadLabel(quoted(label))) }
}

/// A content of a store, as operators and URLs refer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentName {
    /// By its hash.
    Hash(Hash),
    /// The newest content of a label.
    Label(String),
}

impl ContentName {
    /// Parses an operator's argument: a hash if it has that form, else a label.
    ///
    /// # Errors
    /// [`Error::BadLabel`].
    pub fn of_word(word: &str) -> Result<Self, Error> {
        if let Ok(hash) = Hash::parse(word) {
            return Ok(Self::Hash(hash));
        }
        check_label(word)?;
        Ok(Self::Label(word.to_owned()))
    }

    /// Parses `store://s/<label>` and `store://s/hash/<h>` into the store and the target. A label is percent-encoded
    /// (RFC 3986, section 2.1), except for characters that a path may contain, including `/`. A label that starts with
    /// `hash/` has to be written with `hash%2F`.
    ///
    /// # Errors
    /// An error message that contains the URL.
    pub fn of_url(url: &str) -> Result<(String, Self), String> {
        let refused =
            |why: &str| format!("{url}: {why}; a URL of a store is store://STORE/LABEL or store://STORE/hash/HASH");
        let rest = url.strip_prefix("store://").ok_or_else(|| refused("it does not begin with store://"))?;
        let (store, path) = rest.split_once('/').ok_or_else(|| refused("it has no label"))?;
        check_store(store).map_err(|error| refused(&error.to_string()))?;
        let target = match path.strip_prefix("hash/") {
            Some(hash) => Hash::parse(hash).map(Self::Hash).map_err(|error| error.to_string()),
            None => percent_decoded(path).and_then(|label| {
                check_label(&label).map_err(|error| error.to_string())?;
                Ok(Self::Label(label))
            }),
        };
        Ok((store.to_owned(), target.map_err(|why| refused(&why))?))
    }
}

fn percent_decoded(path: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => hex_pair(rest.next(), rest.next()).ok_or("a % must be followed by two hexadecimal digits")?,
            _ if in_path(byte) => byte,
            _ => return Err(format!("{:?} must be written as %{byte:02X}", byte.escape_ascii().to_string())),
        });
    }
    String::from_utf8(bytes).map_err(|_| "its label is not UTF-8".to_owned())
}

fn hex_pair(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let value = |byte: Option<u8>| digit(byte?.to_ascii_lowercase());
    Some(value(high)? << 4 | value(low)?)
}

/// Whether a path may contain the byte unescaped: `pchar` of RFC 3986, section 3.3, and `/`.
fn in_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    /// [store-1] The hash of empty content is the standard one.
    #[test]
    fn a_hash_is_sha_256_in_lower_case_hex() {
        assert_eq!(Hash::of(b"").to_string(), EMPTY);
        assert_eq!(Hash::parse(EMPTY).unwrap(), Hash::of(b""));
    }

    /// [store-5]
    #[test]
    fn a_hash_of_any_other_form_is_refused() {
        let upper = EMPTY.to_uppercase();
        let (short, long, wide) = (&EMPTY[1..], format!("{EMPTY}0"), format!("é{}", &EMPTY[2..]));
        for bad in ["", "../x", "\0", short, &long, &upper, &wide, &EMPTY.replace('e', "g")] {
            assert!(Hash::parse(bad).unwrap_err().to_string().contains("64 hexadecimal digits"), "{bad:?}");
        }
    }

    /// [store-5]
    #[test]
    fn a_store_id_is_a_short_plain_word() {
        for good in ["shared-assets", "a", "3f0c", "A.b_c-d", &"x".repeat(64)] {
            assert!(check_store(good).is_ok(), "{good:?}");
        }
        for bad in ["", ".", "..", "../x", "a/b", "-a", "_a", "a b", "a\0", "é", "a\n", &"x".repeat(65)] {
            assert!(check_store(bad).unwrap_err().to_string().contains("not a store id"), "{bad:?}");
        }
    }

    /// [store-5]
    #[test]
    fn a_label_is_up_to_512_bytes_of_printable_utf_8() {
        for good in
            ["a", "../x", "a b/c", "日本語 ✓ 🎉", "e\u{301}", "it's \"c:\\\"", &"x".repeat(512), &"é".repeat(256)]
        {
            assert!(check_label(good).is_ok(), "{good:?}");
        }
        let hostile = ["", "a\n", "\t", "\0", "\u{1b}[2J", "\u{7f}", "\u{85}", "\u{202e}abc", "\u{2028}", "\u{200b}"];
        for bad in hostile.into_iter().chain([&*"x".repeat(513), &"é".repeat(257)]) {
            assert!(check_label(bad).unwrap_err().to_string().contains("not a label"), "{bad:?}");
        }
    }

    #[test]
    fn a_message_shows_hostile_text_escaped_and_short() {
        let message = check_label(&"\u{1b}é".repeat(10_000)).unwrap_err().to_string();
        assert!(message.len() < 700 && !message.contains('\u{1b}') && message.contains("30000 bytes"), "{message}");
    }

    /// [store-18]
    #[test]
    fn a_url_names_a_label_or_a_hash() {
        for (url, store, target) in [
            ("store://s/app", "s", ContentName::Label("app".into())),
            ("store://shared-assets/a/b.wasm", "shared-assets", ContentName::Label("a/b.wasm".into())),
            ("store://s/a%20b%2fc%C3%A9", "s", ContentName::Label("a b/cé".into())),
            ("store://s/../x", "s", ContentName::Label("../x".into())),
            ("store://s/hash", "s", ContentName::Label("hash".into())),
            ("store://s/hash%2Fx", "s", ContentName::Label("hash/x".into())),
            ("store://s/100%25", "s", ContentName::Label("100%".into())),
            (&format!("store://s/hash/{EMPTY}"), "s", ContentName::Hash(Hash::of(b""))),
        ] {
            assert_eq!(ContentName::of_url(url), Ok((store.to_owned(), target)), "{url}");
        }
    }

    /// [store-18]
    #[test]
    fn a_url_that_is_not_exactly_so_is_refused_by_name() {
        for url in [
            "store:s/app",
            "http://s/app",
            "store://s",
            "store://s/",
            "store:///app",
            "store://a b/app",
            "store://s:1/app",
            "store://../app",
            "store://s/%",
            "store://s/%4",
            "store://s/%zz",
            "store://s/%+1",
            "store://s/%ff",
            "store://s/%00",
            "store://s/a b",
            "store://s/é",
            "store://s/a?b",
            "store://s/a#b",
            "store://s/hash/",
            "store://s/hash/x",
            &format!("store://s/hash/{}", EMPTY.to_uppercase()),
            &format!("store://s/{}", "x".repeat(513)),
        ] {
            let refusal = ContentName::of_url(url).unwrap_err();
            assert!(refusal.starts_with(url) && refusal.contains("store://STORE/LABEL"), "{refusal}");
        }
    }
}
