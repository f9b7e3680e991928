//! How much smaller a JPEG may be decoded: never below what the resizing needs, and only where every side and edge of
//! the region stays a whole number, so that the model sees the same region.

use super::recipe::{Recipe, RecipeError, Resize, Roi};
use super::tensor::scaled_size;

/// What the decoder can do, the most first.
const REDUCTIONS: [u32; 3] = [8, 4, 2];

impl Recipe {
    /// The same recipe with large JPEGs decoded at reduced scale.
    ///
    /// # Errors
    /// A recipe that does not resize.
    pub fn with_draft(&self) -> Result<Self, RecipeError> {
        Self { draft: true, ..self.clone() }.validated()
    }

    /// Whether large JPEGs are decoded at reduced scale.
    pub fn draft(&self) -> bool {
        self.draft
    }

    /// By how much a JPEG of `width × height` pixels is decoded smaller: 1, 2, 4 or 8. As Pillow's `Image.draft` it is
    /// the most that leaves the region at least as large as it is resized to, on both sides; beyond Pillow's, one at
    /// which the image's sides and the region's edges are whole.
    pub fn reduction(&self, width: u32, height: u32) -> u32 {
        if !self.draft {
            return 1;
        }
        let roi = self.roi.unwrap_or(Roi { x: 0, y: 0, width, height });
        let Ok([to_width, to_height]) = scaled_size(self, roi) else { return 1 };
        let fits = |by: &u32| {
            let whole =
                [width, height, roi.x, roi.y, roi.width, roi.height].iter().all(|side| side.is_multiple_of(*by));
            whole && roi.width / by >= to_width && roi.height / by >= to_height
        };
        REDUCTIONS.into_iter().find(fits).unwrap_or(1)
    }
}

impl Roi {
    /// The region in an image that is smaller by that much; its edges are multiples of it.
    pub(super) fn reduced(self, by: u32) -> Self {
        Self { x: self.x / by, y: self.y / by, width: self.width / by, height: self.height / by }
    }
}

/// Refuses a draft where nothing is resized.
pub(super) fn check(recipe: &Recipe) -> Result<(), RecipeError> {
    if recipe.draft && recipe.resize == Resize::None {
        return Err(RecipeError::value("draft", "has no effect", "set another `resize` than \"none\" or leave it out"));
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use crate::preprocess::Recipe;

    fn reductions(recipe: &str, sizes: &[[u32; 2]]) -> Vec<u32> {
        let recipe = Recipe::from_toml(&format!("draft = true\n{recipe}")).unwrap();
        sizes.iter().map(|&[width, height]| recipe.reduction(width, height)).collect()
    }

    #[test]
    fn a_reduction_is_never_too_much_and_always_whole() {
        let sizes =
            [[1920, 1080], [640, 480], [448, 448], [447, 448], [1792, 1792], [1784, 1792], [1794, 1794], [9, 9]];
        assert_eq!(reductions("size = [224, 224]", &sizes), [4, 2, 2, 1, 8, 4, 2, 1]);
        // The shorter side becomes 256 before the centre is cut out.
        assert_eq!(
            reductions("size = [224, 224]\nresize = \"shorter-side\"\nshorter_side = 256", &sizes[..3]),
            [4, 1, 1]
        );
        // 1920×1080 comes to 224×126.
        assert_eq!(reductions("size = [224, 224]\nresize = \"letterbox\"", &sizes[..2]), [8, 2]);
        // Of the region, not of the image; its edges must be whole too.
        let roi = |roi: &str| reductions(&format!("size = [128, 128]\nroi = {roi}"), &sizes[..1]);
        assert_eq!(roi("[120, 80, 640, 480]"), [2]);
        assert_eq!(roi("[121, 80, 640, 480]"), [1]);
        assert_eq!(roi("[120, 84, 1024, 512]"), [4]);
        assert_eq!(roi("[120, 82, 1024, 512]"), [2]);
    }

    #[test]
    fn without_the_key_nothing_is_reduced() {
        let plain = Recipe::from_toml("size = [32, 32]").unwrap();
        assert_eq!((plain.draft(), plain.reduction(1920, 1080)), (false, 1));
        assert_eq!(plain.with_draft().unwrap().reduction(1920, 1080), 8);
        assert!(!plain.to_toml().contains("draft"));
        let error = Recipe::preset("none").unwrap().with_draft().unwrap_err().to_string();
        assert!(error.contains("`draft` has no effect"), "{error}");
    }
}
