//! Replays the fuzzers' corpus: what they once found interesting stays without a panic.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod maker;
mod uses;

use std::fs;
use std::path::{Path, PathBuf};

use maker::seal;
use uses::use_all;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/core/corpus")
}

#[test]
fn the_corpus_brings_nothing_down() {
    let (mut files, mut good) = (0, 0);
    for target in ["shelf", "shelf_mutated"] {
        for entry in fs::read_dir(corpus().join(target)).expect("the corpus is in the repository") {
            let mut bytes = fs::read(entry.unwrap().path()).unwrap();
            let _ = use_all(&bytes);
            seal(&mut bytes);
            good += usize::from(use_all(&bytes).is_ok());
            files += 1;
        }
    }
    assert!(files >= 20 && good >= 12, "{files} files, {good} of them shelves");
}
