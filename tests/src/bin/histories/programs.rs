//! Actors that access files and start programs.

use serde_json::{Value as Json, json};
use theater_plugin_api::testing::Seeded;

use crate::stage::{Stage, turns};

pub fn disk(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    let ask = |kind: &str, payload: Json| stage.ask("disk", kind, payload);
    for _ in 0..turns(chance, 36) {
        let folder = format!("d{}", chance.number());
        let file = format!("{folder}/file");
        ask("create-dir", json!({ "path": folder }))?;
        ask("write-file", json!({ "path": file, "content": folder }))?;
        ask("path-exists", json!({ "path": file }))?;
        ask("list-files", json!({ "path": folder }))?;
        let script = format!("cat file; echo said >&2; exit {}", chance.below(4));
        let command = json!({ "dir": folder, "command": "sh", "args": ["-c", script] });
        let ended = ask("execute-command", command)?;
        if ended["ok"]["stdout"] != folder {
            return Err(format!("disk: the command wrote {ended}"));
        }
        ask("read-file", json!({ "path": file }))?;
        ask("delete-file", json!({ "path": file }))?;
        ask("delete-dir", json!({ "path": folder }))?;
        stage.try_ask("disk", "read-file", json!({ "path": "../secret" }));
        // Few machines have nix, so that an error is fine.
        stage.try_ask("disk", "execute-nix-command", json!({ "command": "true" }));
    }
    Ok(())
}

pub fn runner(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    let ask = |kind: &str, payload: Json| stage.ask("runner", kind, payload);
    for _ in 0..turns(chance, 24) {
        let mode = chance.pick(&["lines", "raw", "json", "chunked"]);
        let script = "echo '{\"a\": 1}'; echo odd >&2; cat";
        let id = ask("start", json!({ "program": "sh", "args": ["-c", script], "mode": mode }))?["id"].clone();
        ask("write", json!({ "id": id, "text": format!("[{}]\n", chance.number()) }))?;
        ask("status", json!({ "id": id }))?;
        match chance.below(3) {
            0 => ask("kill", json!({ "id": id }))?,
            1 => ask("signal", json!({ "id": id, "signal": 15 }))?,
            _ => ask("write", json!({ "id": id, "text": "" }))?,
        };
        stage.ask_until("runner", "told", &json!({}), |told| {
            let ended = |told: &Json| told[0] == id && told[1] == "exit";
            told["told"].as_array().is_some_and(|all| all.iter().any(ended))
        })?;
    }
    stage.try_ask("runner", "start", json!({ "program": "make" }));
    // Both kinds at least once, whatever was chosen above. The call has to succeed.
    for kind in ["kill", "signal"] {
        let id = ask("start", json!({ "program": "sh", "args": ["-c", "exec sleep 600"] }))?["id"].clone();
        ask(kind, json!({ "id": id, "signal": 15 }))?;
    }
    Ok(())
}
