//! Runs the tour of the README line by line.

use std::process::Command;

use theater_tests::{HTTP, Running, Scratch, build_folder, manifest, repository};

/// The commands of the tour, each with the comment that says what it prints.
fn tour() -> Vec<(String, String)> {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let tour = readme.split("## A tour").nth(1).expect("there is a tour").split("\n## ").next().unwrap();
    tour.lines()
        .filter_map(|line| line.strip_prefix("    "))
        .map(|line| line.split_once('#').map_or((line, ""), |(command, comment)| (command, comment)))
        .map(|(command, comment)| (command.trim().to_owned(), comment.trim().to_owned()))
        .collect()
}

#[test]
fn every_command_of_the_tour_does_what_it_says() {
    let scratch = Scratch::new();
    let (mut running, address) = Running::actor(&scratch, &manifest("hello-http", HTTP));
    let theater = build_folder().join("theater").display().to_string();
    let lines = tour();
    assert!(lines.len() >= 5, "{lines:?}");
    for (command, promise) in lines {
        let real = command.replace("target/release/theater", &theater).replace("localhost:8080", &address.to_string());
        let output = Command::new("sh")
            .args(["-c", &real])
            .current_dir(repository())
            .env("THEATER_HOME", &running.data)
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && !out.is_empty(),
            "{command}: {out}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        if promise.starts_with("Hello") {
            assert_eq!(out.trim(), promise, "{command}");
        }
    }
    assert!(running.stop().0.success());
}
