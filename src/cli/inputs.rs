//! Files as verbs read them: whole, and none without a limit.

use std::path::Path;

use anyhow::Result;
use shelfwatch::shelf::read_bounded;

/// The largest ONNX, shelf or statistics file that is read, in bytes.
const LARGEST: u64 = 2 << 30;

/// A whole file.
pub(super) fn file(path: &Path) -> Result<Vec<u8>> {
    Ok(read_bounded(path, LARGEST)?)
}
