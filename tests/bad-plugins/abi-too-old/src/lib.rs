//! Broken: the section claims ABI 0.9.

probe::section!(probe::descriptor!("bad-abi-too-old", "bad:abi-too-old"), section => (section[12], section[14]) = (0, 9));
probe::root!();
