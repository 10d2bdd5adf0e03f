//! Broken: has a descriptor but no root module.

probe::section!(probe::descriptor!("bad-no-entry", "bad:no-entry"));
