//! Folders of drawn parts and the bundled backbone, for tests that want no other files.
#![allow(dead_code, reason = "each test uses its own part")]

use std::path::{Path, PathBuf};

use shelfwatch::image_file::encode_png;
use shelfwatch::parts::{Product, SIDE, Subject, draw};

use crate::binary::{Answer, argument, shelfwatch};

/// The bundled backbone.
pub(crate) fn backbone() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/parts_int8.onnx")
}

/// Its recipe.
pub(crate) fn recipe() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/parts.toml")
}

/// Draws `count` pictures of every product into class folders; `seed` tells draws apart.
pub(crate) fn good(folder: &Path, count: u64, seed: u64) {
    for product in Product::ALL {
        let class = folder.join(product.name());
        std::fs::create_dir_all(&class).unwrap();
        for i in 0..count {
            let drawn = draw(Subject::Product(product), (seed << 32) | i, SIDE);
            std::fs::write(class.join(format!("{i:03}.png")), encode_png(&drawn.frame).unwrap()).unwrap();
        }
    }
}

/// Fits with the bundled backbone; `more` are further arguments.
pub(crate) fn fit(images: &Path, shelf: &Path, more: &[&str]) -> Answer {
    let (backbone, recipe) = (backbone(), recipe());
    let arguments = [
        "fit",
        "--backbone",
        argument(&backbone),
        "--preprocess",
        argument(&recipe),
        "--images",
        argument(images),
        "-o",
        argument(shelf),
    ];
    shelfwatch(arguments.into_iter().chain(more.iter().copied()))
}
