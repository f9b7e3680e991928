//! The JSON schemas under `docs/` are what the code says, and the examples of `docs/mqtt.md` are messages that it reads
//! and writes. `UPDATE_SCHEMAS=1 cargo test --release --test schemas` writes the schemas anew.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, schema_for};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use shelfwatch::event::Event;
use shelfwatch::status::{StationState, Stats};

fn docs(name: &str) -> PathBuf {
    // The checkout, also when a scratch crate borrows this file.
    let near = Path::new(file!()).ancestors().nth(2).filter(|folder| folder.is_absolute());
    near.unwrap_or(Path::new(env!("CARGO_MANIFEST_DIR"))).join("docs").join(name)
}

fn check<T: JsonSchema>(name: &str) {
    let schema = serde_json::to_string_pretty(&schema_for!(T)).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        fs::write(docs(name), &schema).unwrap();
    }
    let stored = fs::read_to_string(docs(name)).unwrap_or_default();
    assert_eq!(stored, schema, "docs/{name} is not what the code says; run this test with UPDATE_SCHEMAS=1");
}

#[test]
fn the_schemas_are_those_of_the_code() {
    check::<Event>("event.schema.json");
    check::<StationState>("state.schema.json");
    check::<Stats>("stats.schema.json");
}

/// The example read and written again must be itself.
fn same<T: DeserializeOwned + Serialize>(example: &Value) {
    let read: T = serde_json::from_value(example.clone()).unwrap_or_else(|error| panic!("{error} in {example}"));
    assert_eq!(serde_json::to_value(read).unwrap(), *example);
}

#[test]
fn the_examples_of_the_documents_are_real_messages() {
    let page = fs::read_to_string(docs("mqtt.md")).unwrap();
    let (mut events, mut states, mut stats) = (0, 0, 0);
    for block in page.split("```json\n").skip(1) {
        let example: Value = serde_json::from_str(block.split("```").next().unwrap()).unwrap();
        if example.get("kind").is_some() {
            same::<Event>(&example);
            events += 1;
        } else if example.get("inspected").is_some() {
            same::<Stats>(&example);
            stats += 1;
        } else if example.get("ready").is_some() {
            same::<StationState>(&example);
            states += 1;
        }
    }
    assert!(events >= 2 && states >= 2 && stats == 1, "{events} events, {states} states, {stats} stats");
}
