//! Broken: the text in the section is not JSON.

probe::section!("{\"name\": \"bad-descriptor-json\", \"version\": oops");
probe::root!();
