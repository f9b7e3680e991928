//! The recipe: what happens to an image before the model sees it, as one validated value.
//! Refuses sizes of zero, regions without area, statistics that are no numbers, and settings that contradict.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::draft;
use super::recipe_text::RecipeText;

/// Largest side of a model's input, in pixels.
pub(super) const MAX_INPUT_SIDE: u32 = 4096;

/// Why a recipe is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RecipeError {
    /// The text is no TOML, or a value has the wrong type.
    #[error("recipe cannot be read: {reason}; see docs/preprocess.md for the keys")]
    Syntax {
        /// The parser's words.
        reason: String,
    },
    /// A key that means nothing here.
    #[error("recipe has an unknown key `{key}`; {hint}")]
    UnknownKey {
        /// The key as written.
        key: String,
        /// The nearest known key, or all of them.
        hint: String,
    },
    /// A value that cannot be.
    #[error("recipe key `{key}` {problem}; {remedy}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong with its value.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
}

impl RecipeError {
    pub(super) fn value(key: &'static str, problem: impl Into<String>, remedy: &'static str) -> Self {
        Self::Value { key, problem: problem.into(), remedy }
    }
}

/// A region of interest in pixels of the source image (after EXIF orientation). Written `[x, y, width, height]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[u32; 4]", into = "[u32; 4]")]
pub struct Roi {
    /// Left edge, 0 is the image's left.
    pub x: u32,
    /// Upper edge, 0 is the image's top.
    pub y: u32,
    /// Width, at least 1.
    pub width: u32,
    /// Height, at least 1.
    pub height: u32,
}

impl From<[u32; 4]> for Roi {
    fn from([x, y, width, height]: [u32; 4]) -> Self {
        Self { x, y, width, height }
    }
}

impl From<Roi> for [u32; 4] {
    fn from(roi: Roi) -> Self {
        [roi.x, roi.y, roi.width, roi.height]
    }
}

/// How the region comes to the model's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resize {
    /// Not at all: an image of another size is an error.
    None,
    /// To the size, without keeping the aspect; images of that size pass unchanged.
    Stretch,
    /// The shorter side to this many pixels (the other to `floor(long · side / short)`), then the centre is cut
    /// out, as torchvision and timm do.
    ShorterSide(u32),
    /// Fitted into the size with its aspect kept, centred on a plain ground of this RGB colour.
    Letterbox([u8; 3]),
}

/// The resampling kernel. All but `Nearest` widen with the reduction (antialiasing), as Pillow's do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// The nearest pixel.
    Nearest,
    /// The mean over the area.
    Box,
    /// Triangle.
    Bilinear,
    /// Cubic with a = −0.5.
    Bicubic,
    /// Windowed sinc over three lobes.
    Lanczos3,
}

/// Which channels the model takes, in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channels {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// One: `(19595 R + 38470 G + 7471 B + 32768) >> 16`, ITU-R BT.601 luma as Pillow computes it.
    Grey,
}

impl Channels {
    /// Number of channels: 3 or 1.
    pub const fn count(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::Grey => 1,
        }
    }
}

/// The order of the tensor's axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Batch, channel, row, column.
    Nchw,
    /// Batch, row, column, channel.
    Nhwc,
}

/// The type of the tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dtype {
    /// 32-bit float: `(v · scale − mean) / std`.
    F32,
    /// The bytes as they are; scale, mean and std do not apply.
    Uint8,
}

/// What happens to an image before the model sees it. Every value of this type is valid.
///
/// ```
/// use shelfwatch::preprocess::Recipe;
/// let recipe = Recipe::preset("torchvision").unwrap().for_input(128, 128).unwrap();
/// assert_eq!(Recipe::from_toml(&recipe.to_toml()).unwrap(), recipe);
/// let error = Recipe::from_toml("sise = [32, 32]").unwrap_err();
/// assert!(error.to_string().contains("did you mean `size`"));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RecipeText", into = "RecipeText")]
pub struct Recipe {
    pub(super) roi: Option<Roi>,
    pub(super) resize: Resize,
    pub(super) filter: Filter,
    pub(super) size: [u32; 2],
    pub(super) channels: Channels,
    pub(super) scale: f64,
    pub(super) mean: Vec<f64>,
    pub(super) std: Vec<f64>,
    pub(super) layout: Layout,
    pub(super) dtype: Dtype,
    pub(super) draft: bool,
}

/// Names of the ready-made recipes, for [`Recipe::preset`].
pub const PRESETS: [&str; 4] = ["torchvision", "timm", "imagenet-uint8", "none"];

const IMAGENET_MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f64; 3] = [0.229, 0.224, 0.225];
/// Brings bytes into 0..=1.
pub(super) const UNIT: f64 = 1.0 / 255.0;

impl Recipe {
    /// A ready-made recipe for an input of 224×224, or `None` for a name that is not in [`PRESETS`].
    /// Adapt it to the model with [`Recipe::for_input`].
    pub fn preset(name: &str) -> Option<Self> {
        let base = Self {
            roi: None,
            resize: Resize::ShorterSide(256),
            filter: Filter::Bilinear,
            size: [224, 224],
            channels: Channels::Rgb,
            scale: UNIT,
            mean: IMAGENET_MEAN.to_vec(),
            std: IMAGENET_STD.to_vec(),
            layout: Layout::Nchw,
            dtype: Dtype::F32,
            draft: false,
        };
        match name {
            "torchvision" => Some(base),
            "timm" => Some(Self { filter: Filter::Bicubic, ..base }),
            "imagenet-uint8" => Some(Self {
                scale: 1.0,
                mean: vec![0.0; 3],
                std: vec![1.0; 3],
                layout: Layout::Nhwc,
                dtype: Dtype::Uint8,
                ..base
            }),
            "none" => Some(Self { resize: Resize::None, mean: vec![0.0; 3], std: vec![1.0; 3], ..base }),
            _ => None,
        }
    }

    /// Stretches to `width × height` with the antialiased triangle filter where the size differs, then
    /// `(v/255 − mean) / std`, RGB, NCHW, f32.
    ///
    /// # Errors
    /// A side of zero or beyond 4096, a mean or std that is no number, a std of zero.
    pub fn stretch(width: u32, height: u32, mean: [f64; 3], std: [f64; 3]) -> Result<Self, RecipeError> {
        Self {
            roi: None,
            resize: Resize::Stretch,
            filter: Filter::Bilinear,
            size: [width, height],
            channels: Channels::Rgb,
            scale: UNIT,
            mean: mean.to_vec(),
            std: std.to_vec(),
            layout: Layout::Nchw,
            dtype: Dtype::F32,
            draft: false,
        }
        .validated()
    }

    /// The same recipe for a model whose input is `width × height`. The share that a centre crop keeps stays the
    /// same: the shorter side becomes `floor(max(width, height) · shorter_side / max(size))`.
    ///
    /// # Errors
    /// A side of zero or beyond 4096.
    pub fn for_input(&self, width: u32, height: u32) -> Result<Self, RecipeError> {
        let mut adapted = self.clone();
        adapted.size = [width, height];
        if let Resize::ShorterSide(side) = self.resize {
            let old = u64::from(self.size[0].max(self.size[1]));
            let new = u64::from(width.max(height)) * u64::from(side) / old;
            adapted.resize = Resize::ShorterSide(u32::try_from(new).unwrap_or(u32::MAX).max(width.max(height)));
        }
        adapted.validated()
    }

    /// The same recipe on a region of the source image, or on all of it.
    ///
    /// # Errors
    /// A region without area.
    pub fn with_roi(&self, roi: Option<Roi>) -> Result<Self, RecipeError> {
        Self { roi, ..self.clone() }.validated()
    }

    /// The same recipe with the axes in another order.
    #[must_use]
    pub fn with_layout(&self, layout: Layout) -> Self {
        Self { layout, ..self.clone() }
    }

    /// Parses and validates the TOML text of docs/preprocess.md. Keys left out take the defaults named there.
    ///
    /// # Errors
    /// No TOML, an unknown key (the nearest known one is named), a wrong type, or a value that cannot be.
    pub fn from_toml(text: &str) -> Result<Self, RecipeError> {
        RecipeText::parse(text)?.try_into()
    }

    /// The canonical text: every key that applies, in a fixed order, no comments. Equal recipes give equal text,
    /// and [`Recipe::from_toml`] gives the recipe back exactly.
    pub fn to_toml(&self) -> String {
        RecipeText::from(self.clone()).render()
    }

    /// The region of the source image, `None` for all of it.
    pub fn roi(&self) -> Option<Roi> {
        self.roi
    }

    /// How the region comes to the model's size.
    pub fn resize(&self) -> Resize {
        self.resize
    }

    /// The resampling kernel.
    pub fn filter(&self) -> Filter {
        self.filter
    }

    /// Width and height of the model's input in pixels.
    pub fn size(&self) -> [u32; 2] {
        self.size
    }

    /// Which channels, in which order.
    pub fn channels(&self) -> Channels {
        self.channels
    }

    /// The factor before mean and std.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// What is subtracted after scaling, one value per channel of the tensor.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// What is divided by last, one value per channel of the tensor, never zero.
    pub fn std(&self) -> &[f64] {
        &self.std
    }

    /// The order of the axes.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The type of the elements.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The tensor's shape in the order of its layout, batch 1.
    pub fn shape(&self) -> [usize; 4] {
        let [width, height] = self.size.map(|side| side as usize);
        match self.layout {
            Layout::Nchw => [1, self.channels.count(), height, width],
            Layout::Nhwc => [1, height, width, self.channels.count()],
        }
    }

    pub(super) fn validated(self) -> Result<Self, RecipeError> {
        draft::check(&self)?;
        if self.size.iter().any(|side| !(1..=MAX_INPUT_SIDE).contains(side)) {
            let problem = format!("is {:?}", self.size);
            return Err(RecipeError::value("size", problem, "give [width, height] from 1 to 4096 pixels each"));
        }
        if let Some(roi) = self.roi
            && (roi.width == 0
                || roi.height == 0
                || roi.x.checked_add(roi.width).is_none()
                || roi.y.checked_add(roi.height).is_none())
        {
            let problem = format!("is {:?}", <[u32; 4]>::from(roi));
            let remedy = "give [x, y, width, height] with an area inside the image";
            return Err(RecipeError::value("roi", problem, remedy));
        }
        if let Resize::ShorterSide(side) = self.resize {
            let least = self.size[0].max(self.size[1]);
            if side < least || side > 4 * MAX_INPUT_SIDE {
                let problem = format!("is {side}");
                return Err(RecipeError::value(
                    "shorter_side",
                    problem,
                    "give at least the larger side of `size`, at most 16384",
                ));
            }
        }
        let count = self.channels.count();
        for (key, values) in [("mean", &self.mean), ("std", &self.std)] {
            if values.len() != count {
                let problem = format!("has {} values", values.len());
                return Err(RecipeError::value(key, problem, "give one per channel: 3 for rgb and bgr, 1 for grey"));
            }
            if values.iter().any(|&value| !value.is_finite() || value.abs() > 1e6) {
                return Err(RecipeError::value(
                    key,
                    "holds a value that is no number or beyond a million",
                    "give the training's statistics",
                ));
            }
        }
        if self.std.iter().any(|&std| std < 1e-6) {
            return Err(RecipeError::value("std", "is zero, negative or below 1e-6", "leave it out for 1"));
        }
        if !(self.scale.is_finite() && self.scale.abs() >= 1e-6 && self.scale.abs() <= 1e6) {
            return Err(RecipeError::value("scale", format!("is {}", self.scale), "give \"1/255\" or 1"));
        }
        if self.dtype == Dtype::Uint8 {
            let plain = self.scale.to_bits() == 1f64.to_bits()
                && self.mean.iter().all(|&mean| mean == 0.0)
                && self.std.iter().all(|&std| std.to_bits() == 1f64.to_bits());
            if !plain {
                return Err(RecipeError::value(
                    "dtype",
                    "is uint8 with a scale, mean or std",
                    "leave those out, or use dtype = \"f32\"",
                ));
            }
        }
        Ok(self)
    }
}
