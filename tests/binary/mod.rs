//! The real binary.

use std::path::Path;
use std::process::Command;

/// What the binary answered.
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs the binary.
pub(crate) fn shelfwatch<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Answer {
    let output = Command::new(env!("CARGO_BIN_EXE_shelfwatch")).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Answer { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// A path as an argument.
pub(crate) fn argument(path: &Path) -> &str {
    path.to_str().unwrap()
}
