//! What a fit is told beside its images: taps, recipe, rates. `eval` takes its rate alike.

use anyhow::{Context, Result, bail};
use clap::Args;
use shelfwatch::backbone::{self, InputSpec, PixelType, TapChoice};
use shelfwatch::fit::Alpha;
use shelfwatch::preprocess::{Dtype, Layout, PRESETS, Recipe};

/// Where in the backbone the vectors are taken, where that is not to be found automatically.
#[derive(Clone, Debug, Args)]
pub(super) struct Taps {
    /// Tensor of the penultimate feature (else found: the input of the last weighted layer).
    #[arg(long, value_name = "TENSOR")]
    feature: Option<String>,
    /// Tensor of the logits (else found: the output of the last weighted layer).
    #[arg(long, value_name = "TENSOR")]
    logits: Option<String>,
    /// Tensor of the feature map (else found: the input of the global average pooling).
    #[arg(long, value_name = "TENSOR")]
    map: Option<String>,
}

impl Taps {
    pub(super) fn choice(&self) -> TapChoice {
        TapChoice { feature: self.feature.clone(), logits: self.logits.clone(), map: self.map.clone() }
    }
}

/// A preset's name or a TOML file; a preset is adapted to the network's input.
pub(super) fn recipe(argument: &str, onnx: &[u8]) -> Result<Recipe> {
    if let Some(preset) = Recipe::preset(argument) {
        return adapt(&preset, &backbone::inspect(onnx, None).context("backbone")?.input);
    }
    let text = std::fs::read_to_string(argument)
        .with_context(|| format!("cannot read recipe {argument}; give a TOML file or one of {}", PRESETS.join(", ")))?;
    Recipe::from_toml(&text).with_context(|| format!("recipe {argument}"))
}

fn adapt(preset: &Recipe, spec: &InputSpec) -> Result<Recipe> {
    let wants = match spec.dtype {
        PixelType::F32 => Dtype::F32,
        PixelType::U8 => Dtype::Uint8,
    };
    if preset.dtype() != wants {
        bail!(
            "the backbone's input is {}, the preset's is not; use `--preprocess {}` or a TOML file",
            spec.dtype.name(),
            if wants == Dtype::Uint8 { "imagenet-uint8" } else { "torchvision" }
        );
    }
    let (recipe, height, width) = match spec.layout {
        Some(backbone::Layout::Nhwc) => (preset.with_layout(Layout::Nhwc), spec.shape[1], spec.shape[2]),
        _ => (preset.with_layout(Layout::Nchw), spec.shape[2], spec.shape[3]),
    };
    match (width, height) {
        (Some(width), Some(height)) => Ok(recipe.for_input(u32::try_from(width)?, u32::try_from(height)?)?),
        _ => Ok(recipe),
    }
}

/// A rate: a number, or `auto` for the least that the images support.
pub(super) fn alpha(text: &str) -> Result<Alpha, String> {
    if text == "auto" {
        return Ok(Alpha::Least);
    }
    share(text).map(Alpha::Rate)
}

/// A number strictly between 0 and 1.
pub(super) fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value < 1.0 => Ok(value),
        _ => Err("give a number between 0 and 1".to_owned()),
    }
}
