//! Broken: the section claims layout version 9.

probe::section!(probe::descriptor!("bad-bad-layout-version", "bad:bad-layout-version"), section => section[8] = 9);
probe::root!();
