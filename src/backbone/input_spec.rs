//! The image input of a network: name, shape, element type, and where its channels stand.

use serde::{Deserialize, Serialize};

/// Element type of an image input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PixelType {
    /// 32-bit floats.
    F32,
    /// Bytes.
    U8,
}

impl PixelType {
    /// `float32` or `uint8`, as messages name it.
    pub fn name(self) -> &'static str {
        match self {
            PixelType::F32 => "float32",
            PixelType::U8 => "uint8",
        }
    }
}

/// Order of an image tensor's dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Batch, channels, height, width.
    Nchw,
    /// Batch, height, width, channels.
    Nhwc,
}

/// The image input as the file declares it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputSpec {
    /// Tensor name.
    pub name: String,
    /// Four extents; `None` where the file leaves one open.
    pub shape: [Option<usize>; 4],
    /// Element type.
    pub dtype: PixelType,
    /// Guessed from where an extent of 1 or 3 stands; `None` where neither does.
    pub layout: Option<Layout>,
}

impl InputSpec {
    /// The shape in words: `?×3×224×224`.
    pub fn text(&self) -> String {
        let extents: Vec<String> =
            self.shape.iter().map(|d| d.map_or_else(|| "?".to_owned(), |d| d.to_string())).collect();
        extents.join("×")
    }
}
