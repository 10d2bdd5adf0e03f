//! Component text where each export `g<n>` passes its arguments to the import `f<n>` and returns the import's result.

use std::fmt::Write;

use theater_chain::value_type::ValueType;

use super::types::{Function, flatten};

/// A module with memory, a bump allocator whose `realloc` may move allocations, and `reset`.
pub const LIBC: &str = r#"
  (core module $libc
    (memory (export "memory") 4)
    (global $heap (mut i32) (i32.const 64))
    (func (export "reset") (global.set $heap (i32.const 64)))
    (func (export "realloc") (param $old i32) (param $before i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32) (local $end i32)
      (local.set $at (i32.and
        (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
      (local.set $end (i32.add (local.get $at) (local.get $size)))
      (block $enough
        (br_if $enough (i32.le_u (local.get $end) (i32.mul (memory.size) (i32.const 65536))))
        (drop (memory.grow (i32.add (i32.const 1) (i32.div_u (local.get $size) (i32.const 65536))))))
      (memory.copy (local.get $at) (local.get $old)
        (select (local.get $before) (local.get $size) (i32.lt_u (local.get $before) (local.get $size))))
      (global.set $heap (local.get $end))
      (local.get $at)))
  (core instance $libc (instantiate $libc))
  (alias core export $libc "memory" (core memory $memory))
  (alias core export $libc "realloc" (core func $realloc))
  (alias core export $libc "reset" (core func $reset))
"#;

/// The string encodings of the Canonical ABI.
pub const ENCODINGS: [&str; 3] = ["utf8", "utf16", "latin1+utf16"];

/// Writes component types. Records, variants, enums and flags get a name, as exported types must have one.
#[derive(Default)]
pub struct Types {
    text: String,
    count: usize,
}

impl Types {
    fn named(&mut self, definition: &str) -> String {
        let number = self.count;
        self.count += 1;
        writeln!(
            self.text,
            "  (type $d{number} {definition})\n  (import \"t{number}\" (type $t{number} (eq $d{number})))"
        )
        .unwrap();
        format!("$t{number}")
    }

    /// The definitions and imports of the types written so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the text that refers to a type, and defines the type if it needs a name.
    pub fn write(&mut self, shape: &ValueType) -> String {
        let quoted = |names: &[String]| names.iter().map(|name| format!(" {name:?}")).collect::<String>();
        match shape {
            ValueType::Bytes => "(list u8)".to_owned(),
            ValueType::List(item) => format!("(list {})", self.write(item)),
            ValueType::Option(some) => format!("(option {})", self.write(some)),
            ValueType::Result(sides) => {
                let ok = sides.0.as_ref().map_or(String::new(), |ok| format!(" {}", self.write(ok)));
                let err = sides.1.as_ref().map_or(String::new(), |err| format!(" (error {})", self.write(err)));
                format!("(result{ok}{err})")
            }
            ValueType::Tuple(items) => {
                let items: Vec<_> = items.iter().map(|item| self.write(item)).collect();
                format!("(tuple {})", items.join(" "))
            }
            ValueType::Record(fields) => {
                let fields: Vec<_> =
                    fields.iter().map(|(name, field)| format!("(field {name:?} {})", self.write(field))).collect();
                self.named(&format!("(record {})", fields.join(" ")))
            }
            ValueType::Variant(cases) => {
                let cases: Vec<_> = cases
                    .iter()
                    .map(|(name, payload)| match payload {
                        Some(payload) => format!("(case {name:?} {})", self.write(payload)),
                        None => format!("(case {name:?})"),
                    })
                    .collect();
                self.named(&format!("(variant {})", cases.join(" ")))
            }
            ValueType::Enum(names) => self.named(&format!("(enum{})", quoted(names))),
            ValueType::Flags(names) => self.named(&format!("(flags{})", quoted(names))),
            scalar => scalar.to_string(),
        }
    }
}

/// The component with these functions, each with its string encoding.
pub fn component(functions: &[(Function, &str)]) -> String {
    let mut types = Types::default();
    let (mut imports, mut core, mut lowered, mut lifted) = (String::new(), String::new(), String::new(), String::new());
    let mut exports = String::new();
    for (n, (function, encoding)) in functions.iter().enumerate() {
        let mut signature = String::new();
        for (name, shape) in &function.params {
            write!(signature, " (param {name:?} {})", types.write(shape)).unwrap();
        }
        if let Some(result) = &function.result {
            write!(signature, " (result {})", types.write(result)).unwrap();
        }
        writeln!(imports, "  (import \"f{n}\" (func $f{n}{signature}))").unwrap();
        let options = format!("string-encoding={encoding} (memory $memory) (realloc $realloc)");
        writeln!(lowered, "  (core func $l{n} (canon lower (func $f{n}) {options}))").unwrap();
        writeln!(exports, "    (export \"f{n}\" (func $l{n}))").unwrap();
        writeln!(
            lifted,
            "  (func $g{n}{signature} (canon lift (core func $i \"g{n}\") {options} (post-return (core func $i \"p{n}\"))))\n  (export \"g{n}\" (func $g{n}))"
        )
        .unwrap();
        core_function(&mut core, n, function);
    }
    let Types { text: types, .. } = types;
    // The heap begins near the end of a small memory, so that memory grows and moves while values are lowered.
    let libc = LIBC.replace("\"memory\") 4", "\"memory\") 1").replace("i32.const 64)", "i32.const 65400)");
    assert!(libc.contains("\"memory\") 1") && libc.contains("65400"));
    // In a core module, imports have to precede functions.
    let (core_imports, core_functions): (Vec<_>, Vec<_>) = core.lines().partition(|line| line.contains("(import "));
    format!(
        "(component\n{types}{imports}{libc}{lowered}  (core module $m\n    (import \"libc\" \"memory\" (memory 0))\n    \
         (import \"libc\" \"realloc\" (func $realloc (param i32 i32 i32 i32) (result i32)))\n    (import \"libc\" \"reset\" (func $reset))\n\
         {}\n{}\n  )\n  (core instance $host\n{exports}  )\n  (core instance $i (instantiate $m (with \"libc\" (instance $libc)) (with \"host\" (instance $host))))\n{lifted})\n",
        core_imports.join("\n"),
        core_functions.join("\n"),
    )
}

fn core_function(core: &mut String, n: usize, function: &Function) {
    let mut params: Vec<_> = function.params.iter().flat_map(|(_, shape)| flatten(shape)).collect();
    if params.len() > 16 {
        params = vec!["i32"];
    }
    let result = function.result.as_ref().map_or(Vec::new(), flatten);
    let gets: String = (0..params.len()).map(|number| format!(" (local.get {number})")).collect();
    let params = params.join(" ");
    let (import, export, body) = match result.as_slice() {
        [] => (format!("(param {params})"), String::new(), format!("(call $f{n}{gets})")),
        [one] => (format!("(param {params}) (result {one})"), format!("(result {one})"), format!("(call $f{n}{gets})")),
        // No type needs more than 16 bytes per core value.
        many => (
            format!("(param {params} i32)"),
            "(result i32) (local $at i32)".to_owned(),
            format!(
                "(local.set $at (call $realloc (i32.const 0) (i32.const 0) (i32.const 8) (i32.const {}))) (call $f{n}{gets} (local.get $at)) (local.get $at)",
                16 * many.len() + 16
            ),
        ),
    };
    let post = match result.as_slice() {
        [] => "",
        [one] => one,
        _ => "i32",
    };
    writeln!(core, "    (import \"host\" \"f{n}\" (func $f{n} {import}))").unwrap();
    writeln!(core, "    (func (export \"g{n}\") (param {params}) {export} {body})").unwrap();
    writeln!(core, "    (func (export \"p{n}\") (param {post}) (call $reset))").unwrap();
}
