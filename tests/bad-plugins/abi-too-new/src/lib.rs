//! Broken: the section says that it was built for the next ABI major.

probe::section!(probe::descriptor!("bad-abi-too-new", "bad:abi-too-new"), section => section[12] += 1);
probe::root!();
