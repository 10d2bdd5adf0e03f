//! Turns a fuzzer's input into edits of valid data, so that inputs get past the first checks.

/// Splits the seed off an input.
pub fn seed(input: &[u8]) -> (u64, &[u8]) {
    let (seed, rest) = input.split_at(input.len().min(8));
    let mut bytes = [0; 8];
    bytes[..seed.len()].copy_from_slice(seed);
    (u64::from_le_bytes(bytes), rest)
}

/// Applies the edits of `script` to `bytes`. An edit is five bytes: the kind, the position (2) and a parameter (2).
pub fn edit(bytes: &mut Vec<u8>, script: &[u8], words: &[&[u8]]) {
    for step in script.chunks_exact(5) {
        let (place, with) = (u16::from_le_bytes([step[1], step[2]]), u16::from_le_bytes([step[3], step[4]]));
        let at = usize::from(place) * (bytes.len() + 1) / 0x1_0000;
        match step[0] % 10 {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << (with % 8),
            2 if at < bytes.len() => bytes[at] = with as u8,
            3 => bytes.insert(at, with as u8),
            4 if at < bytes.len() => drop(bytes.remove(at)),
            5 if step[0] > 200 => bytes.truncate(at),
            6 => {
                // Insert a copy of a part.
                let end = (at + usize::from(with % 64)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                let to = usize::from(with) * (bytes.len() + 1) / 0x1_0000;
                bytes.splice(to..to, piece);
            }
            7 => {
                let end = (at + usize::from(with % 16)).min(bytes.len());
                bytes.drain(at..end);
            }
            8 if at + 4 <= bytes.len() => {
                let number = [0, 1, 0x7fff_ffff, u32::MAX, u32::from(with)][usize::from(with % 5)];
                bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
            }
            _ if !words.is_empty() => {
                bytes.splice(at..at, words[usize::from(with) % words.len()].iter().copied());
            }
            _ => {}
        }
    }
}
