//! Builds minimal shared libraries with one section, enough for the descriptor reader.

const HEADER: usize = 64;
const SECTION_HEADER: usize = 64;

/// Builds a library for this machine with `content` in the section `name`.
pub fn library(name: &str, content: &[u8]) -> Vec<u8> {
    let names = [b"\0", name.as_bytes(), b"\0.shstrtab\0"].concat();
    let names_at = HEADER + content.len();
    let table_at = (names_at + names.len()).next_multiple_of(8);
    let machine: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
    let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    // Type (shared), machine, version; entry, program headers, section headers; flags; sizes and counts.
    out.extend([3u16.to_le_bytes(), machine.to_le_bytes()].concat());
    out.extend(1u32.to_le_bytes());
    out.extend([0u64.to_le_bytes(), 0u64.to_le_bytes(), (table_at as u64).to_le_bytes()].concat());
    out.extend(0u32.to_le_bytes());
    for half in [HEADER as u16, 56, 0, SECTION_HEADER as u16, 3, 2] {
        out.extend(half.to_le_bytes());
    }
    out.extend(content);
    out.extend(&names);
    out.resize(table_at, 0);
    out.extend([0; SECTION_HEADER]);
    for (name, kind, at, size) in [(1, 1u32, HEADER, content.len()), (2 + name.len(), 3, names_at, names.len())] {
        out.extend([(name as u32).to_le_bytes(), kind.to_le_bytes()].concat());
        for word in [0, 0, at as u64, size as u64, 0, 1, 0] {
            out.extend(u64::to_le_bytes(word));
        }
    }
    out
}
