//! Rust names for the kebab-case names of WIT.

use proc_macro2::{Ident, Span};

const KEYWORDS: [&str; 39] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn", "else", "enum",
    "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod", "move",
    "mut", "override", "priv", "pub", "ref", "return", "static", "struct", "trait", "true", "type",
];
const MORE_KEYWORDS: [&str; 9] = ["try", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield"];

/// `list-all` as `list_all`.
pub fn snake(kebab: &str) -> Ident {
    let name = kebab.replace('-', "_").to_lowercase();
    match name.as_str() {
        "self" | "super" | "crate" => Ident::new(&format!("{name}_"), Span::call_site()),
        word if KEYWORDS.contains(&word) || MORE_KEYWORDS.contains(&word) => Ident::new_raw(word, Span::call_site()),
        word => Ident::new(word, Span::call_site()),
    }
}

/// `list-all` as `ListAll`.
pub fn camel(kebab: &str) -> Ident {
    let mut name = String::new();
    for part in kebab.split('-') {
        let mut chars = part.chars();
        name.extend(chars.next().map(|first| first.to_ascii_uppercase()));
        name.extend(chars.map(|c| c.to_ascii_lowercase()));
    }
    if name == "Self" {
        name.push('_');
    }
    Ident::new(&name, Span::call_site())
}
