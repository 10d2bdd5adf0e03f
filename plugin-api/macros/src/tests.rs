//! The expansion of `bindings!`, and its errors for invalid WIT.

use std::path::PathBuf;

use crate::generate::generate;
use crate::input::Input;
use crate::wit::Packages;

/// A temporary folder with a WIT file.
struct Wit(PathBuf);

impl Wit {
    fn new(name: &str, text: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("theater-bindings-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("a.wit"), text).unwrap();
        Self(folder)
    }

    /// The expansion for this WIT, with more keys.
    fn bindings(&self, functions: &str, more: &str) -> Result<String, String> {
        let input = format!(
            "plugin: P, handler: H, name: \"p\", wit: {:?}, provides: {{ \"a:b/c\": {{ {functions} }} }}, {more}",
            self.0
        );
        let input: Input = syn::parse_str(&input).map_err(|error| error.to_string())?;
        let packages = Packages::read(&input).map_err(|error| error.to_string())?;
        generate(&input, &packages).map(|tokens| tokens.to_string()).map_err(|error| error.to_string())
    }
}

impl Drop for Wit {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[test]
fn an_error_in_a_wit_names_its_line() {
    let wit = Wit::new("syntax", "package a:b;\ninterface c {\n  f: func(a strin);\n}\n");
    let said = wit.bindings("\"f\": read", "").unwrap_err();
    assert!(said.contains("a.wit:3:"), "{said}");
    let wit = Wit::new("name", "package a:b;\ninterface c {\n\n  f: func(a: strin);\n}\n");
    let said = wit.bindings("\"f\": read", "").unwrap_err();
    assert!(said.contains("a.wit:4:") && said.contains("strin"), "{said}");
    let wit = Wit::new("type", "package a:b;\ninterface c {\n  type later = stream<u8>;\n  f: func(a: later);\n}\n");
    let said = wit.bindings("\"f\": read", "").unwrap_err();
    assert!(said.contains("a.wit:3:") && said.contains("stream cannot cross the plugin boundary"), "{said}");
}

const TYPED: &str = "package a:b;\ninterface c {\n  variant error { gone, io(string), code(u32) }\n  \
                     f: func() -> result<_, error>;\n  g: func() -> result<_, string>;\n  h: func() -> u32;\n}\n";
const ALL: &str = "\"f\": idempotent, \"g\": read, \"h\": pure";

#[test]
fn an_error_type_that_cannot_report_a_fault_causes_a_warning() {
    let wit = Wit::new("fault", TYPED);
    let made = wit.bindings(ALL, "").unwrap();
    assert_eq!(made.matches("deprecated").count(), 1, "{made}");
    assert!(made.contains("a panic in f, or a crash while it runs, fails the calling actor"), "{made}");
    for meant in ["fault: io", "fault: gone", "fault: \"io\"", "fault: none"] {
        assert!(!wit.bindings(ALL, meant).unwrap().contains("deprecated"), "{meant}");
    }
    assert!(wit.bindings(ALL, "fault: io").unwrap().contains(r#"\"fault\":\"io\""#));
    assert!(!wit.bindings(ALL, "fault: none").unwrap().contains(r#"\"fault\""#));
    // A case with a number cannot carry the message.
    for wrong in ["code", "other"] {
        let said = wit.bindings(ALL, &format!("fault: {wrong}")).unwrap_err();
        assert_eq!(said, format!("no function's error has a case {wrong} that carries text or nothing"));
    }
}
