//! Broken: the section claims the next ABI major version.

probe::section!(probe::descriptor!("bad-abi-too-new", "bad:abi-too-new"), section => section[12] += 1);
probe::root!();
