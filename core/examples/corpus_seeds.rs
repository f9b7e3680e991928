//! Writes the shelves that fuzzing starts from: `cargo run --release -p shelfwatch-core --example corpus_seeds`.
#![allow(dead_code, clippy::unwrap_used, reason = "shares the tests' maker of shelves, and fails by panicking")]

#[path = "../tests/maker/mod.rs"]
mod maker;

use std::fs;
use std::path::Path;

use maker::{complete, various};

fn main() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/core/corpus");
    for target in ["shelf", "shelf_mutated"] {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder).unwrap();
        for (name, maker) in various().into_iter().chain([("complete".to_owned(), complete())]) {
            fs::write(folder.join(format!("seed-{name}")), maker.file()).unwrap();
        }
    }
}
