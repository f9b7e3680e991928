//! The test kit beside the checkout: where it is.

use std::path::{Path, PathBuf};

/// The kit's folder: `SHELFWATCH_KIT`, else `../shared/kit` beside the checkout. Without it, says that the test is
/// skipped and returns `None`.
pub(crate) fn kit() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/kit");
    let folder = std::env::var_os("SHELFWATCH_KIT").map_or(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no test kit at {}; set SHELFWATCH_KIT", folder.display());
    None
}
