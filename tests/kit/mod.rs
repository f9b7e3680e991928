//! The test kit beside the checkout: where it is, and how its images are prepared.
#![allow(dead_code, reason = "each test uses its own part")]

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

/// The kit's preprocessing: stretched bilinear, `(v/255 − mean) / std`.
pub(crate) fn recipe(set: &str) -> &'static str {
    match set {
        "steel" => "size = [128, 128]\nresize = \"stretch\"\nmean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]\n",
        _ => "size = [32, 32]\nresize = \"stretch\"\nmean = [0.485, 0.456, 0.406]\nstd = [0.229, 0.224, 0.225]\n",
    }
}
