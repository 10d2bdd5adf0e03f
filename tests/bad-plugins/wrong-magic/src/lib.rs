//! Broken: the section starts with XHEATER.

probe::section!(probe::descriptor!("bad-wrong-magic", "bad:wrong-magic"), section => section[0] = b'X');
probe::root!();
