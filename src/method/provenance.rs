//! Where statistics come from; statistics of different origin are not merged.

use crate::digest::hexadecimal;
use serde::{Deserialize, Serialize};

use super::error::MethodError;

/// The origin of statistics: what has to agree between shards, and how many images were read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// SHA-256 of the backbone's ONNX bytes.
    pub backbone_sha256: [u8; 32],
    /// The preprocess recipe, as its canonical text.
    pub recipe: String,
    /// Tensor that gave the feature.
    pub feature_tap: String,
    /// Tensor that gave the logits.
    pub logits_tap: Option<String>,
    /// Tensor that gave the feature map.
    pub map_tap: Option<String>,
    /// Images found.
    pub found: u64,
    /// Images that could not be read.
    pub bad: u64,
}

impl Provenance {
    /// Checks that the other has the same backbone, recipe and taps, and adds its counts.
    pub(super) fn merge(&mut self, other: &Self) -> Result<(), MethodError> {
        differing("backbone", &hexadecimal(&self.backbone_sha256), &hexadecimal(&other.backbone_sha256))?;
        differing("preprocess recipe", &self.recipe, &other.recipe)?;
        differing("feature tensor", &self.feature_tap, &other.feature_tap)?;
        let name = |tap: &Option<String>| tap.as_deref().unwrap_or("none").to_owned();
        differing("logits tensor", &name(&self.logits_tap), &name(&other.logits_tap))?;
        differing("map tensor", &name(&self.map_tap), &name(&other.map_tap))?;
        self.found = self.found.saturating_add(other.found);
        self.bad = self.bad.saturating_add(other.bad);
        Ok(())
    }
}

/// An error when the two values differ.
pub(super) fn differing(what: &'static str, ours: &str, theirs: &str) -> Result<(), MethodError> {
    if ours == theirs {
        Ok(())
    } else {
        Err(MethodError::Merge { what, ours: ours.to_owned(), theirs: theirs.to_owned() })
    }
}
