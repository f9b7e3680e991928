//! From a frame to the numbers a model takes: region, resizing, channels, normalisation, layout, as a recipe says.
//! Refuses frames that the recipe does not fit; guesses nothing from pixel values.

mod draft;
mod recipe;
mod recipe_text;
mod resize;
mod tensor;
mod window;

pub use recipe::{Channels, Dtype, Filter, Layout, PRESETS, Recipe, RecipeError, Resize, Roi};
pub use tensor::{Pixels, Preprocess, PreprocessError};
