//! Escapes untrusted text before it is printed or logged: names, messages, headers, paths, errors of plugins.
//!
//! Terminals interpret control characters (titles, colours, forged lines), and editors reorder text between bidirectional
//! marks. [`line`](fn@line) is for text on a single line, [`lines`] for text of several lines, [`json`] for JSON documents.

use std::borrow::Cow;

/// Whether a character controls a terminal or the order of text instead of being displayed.
#[must_use]
pub fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // soft hyphen, marks and embeddings of bidirectional text, separators of lines and paragraphs
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            // invisible operators, isolates, the byte order mark, annotations, tags
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Escapes all active characters, including line ends.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, is_active, push_rust_escape)
}

/// Like [`line`](fn@line), but keeps line ends and tabs.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| is_active(c) && !matches!(c, '\n' | '\t'), push_rust_escape)
}

/// Escapes the active characters that a JSON serializer leaves as they are. The result is the same JSON value.
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    escaped(text, is_active, |c, out| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            out.push_str(&format!("\\u{unit:04x}"));
        }
    })
}

fn push_rust_escape(c: char, out: &mut String) {
    out.extend(c.escape_default());
}

fn escaped(text: &str, needs_escape: impl Fn(char) -> bool, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.chars().any(&needs_escape) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if needs_escape(c) { escape(c, &mut out) } else { out.push(c) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}]0;title\u{7}\r\nb\u{9b}2J\u{2028}c\u{202e}d\tü\u{e0041}";

    #[test]
    fn no_active_character_remains() {
        assert_eq!(line("plain text, ü and 語"), "plain text, ü and 語");
        assert!(!line(HOSTILE).chars().any(is_active));
        assert_eq!(line("a\n\u{1b}"), "a\\n\\u{1b}");
        assert_eq!(lines("a\n\tb\r"), "a\n\tb\\r");
        assert!(lines(HOSTILE).chars().filter(|c| is_active(*c)).eq("\n\t".chars()));
    }

    #[test]
    fn escaped_json_is_the_same_value() {
        let value = serde_json::json!({ "text": HOSTILE, HOSTILE: [1, HOSTILE] });
        let text = value.to_string();
        let escaped = json(&text);
        assert!(!escaped.chars().any(is_active), "{escaped}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
    }
}
