//! The one path from a frame to a reading, which fitting, evaluation and the device share.
//! Refuses a backbone that is not the shelf's own; an error is never a pass.

use shelfwatch_core::{Judgement, Shelf, predicted};
use thiserror::Error;

#[cfg(feature = "onnx")]
use crate::backbone::TapChoice;
use crate::backbone::{Activations, Backbone, BackboneError};
#[cfg(feature = "onnx")]
use crate::digest::sha256;
use crate::frame::Frame;
use crate::preprocess::{Preprocess, PreprocessError, Recipe, RecipeError};

/// Why a frame could not be judged, or a detector not be made.
#[derive(Debug, Error)]
pub enum DetectorError {
    /// The shelf cannot be used, or the numbers put to it are not finite.
    #[error(transparent)]
    Shelf(#[from] shelfwatch_core::Error),
    /// The recipe in the shelf is not one that this program knows.
    #[error("the shelf's preprocess recipe is not usable: {0}")]
    Recipe(#[from] RecipeError),
    /// The frame does not fit the recipe.
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
    /// The backbone cannot be loaded or run.
    #[error(transparent)]
    Backbone(#[from] BackboneError),
    /// A detached shelf without its backbone.
    #[error("the shelf was made with --detached and holds no backbone; give its ONNX file with --backbone")]
    Detached,
    /// The backbone gives vectors of other lengths than the shelf was fitted with.
    #[error("the backbone's feature, logits or map have another shape than the shelf says; fit the shelf again")]
    Shape,
    /// The program has no reader of ONNX files, and the shelf's network needs one.
    #[error(
        "this program has no reader of ONNX files, and the shelf's network was not made ready without one; install the program with feature `onnx`, or fit with a network that `inspect --graph` shows to run without tract"
    )]
    NoReader,
    /// Another ONNX file than the shelf was fitted with.
    #[error("the ONNX file is not the one this shelf was fitted with (SHA-256 differs); use that file or fit again")]
    OtherBackbone,
}

/// Preprocessing and backbone: from a frame to feature, logits and map.
pub struct Frontend {
    preprocess: Preprocess,
    backbone: Backbone,
}

impl Frontend {
    /// Loads the backbone for images that the recipe makes.
    ///
    /// # Errors
    /// [`DetectorError::Backbone`].
    #[cfg(feature = "onnx")]
    pub fn new(onnx: &[u8], choice: &TapChoice, recipe: &Recipe) -> Result<Self, DetectorError> {
        let backbone = Backbone::load(onnx, choice, Some(recipe.shape()))?;
        Ok(Self { preprocess: Preprocess::new(recipe), backbone })
    }

    /// Takes a network that was made ready for images of this recipe.
    fn of_program(program: &[u8], recipe: &Recipe) -> Result<Self, DetectorError> {
        let backbone = Backbone::from_program(program)?;
        if backbone.input_shape() != recipe.shape() {
            return Err(DetectorError::Shape);
        }
        Ok(Self { preprocess: Preprocess::new(recipe), backbone })
    }

    /// A second one for another thread.
    ///
    /// # Errors
    /// [`DetectorError::Backbone`].
    pub fn fork(&self) -> Result<Self, DetectorError> {
        Ok(Self { preprocess: Preprocess::new(self.preprocess.recipe()), backbone: self.backbone.fork()? })
    }

    /// Itself and as many forks as make `count` in all.
    ///
    /// # Errors
    /// [`DetectorError::Backbone`].
    pub fn forks(&self, count: usize) -> Result<Vec<Self>, DetectorError> {
        (0..count.max(1)).map(|_| self.fork()).collect()
    }

    /// Feature and logits of a frame, and the map where it is asked for.
    ///
    /// # Errors
    /// [`DetectorError::Preprocess`] or [`DetectorError::Backbone`].
    pub fn run(&mut self, frame: &Frame, with_map: bool) -> Result<Activations<'_>, DetectorError> {
        let pixels = self.preprocess.run(frame)?;
        let run = if with_map { Backbone::run } else { Backbone::run_without_map };
        Ok(run(&mut self.backbone, pixels)?)
    }

    /// Computes each image with so many threads from now on.
    ///
    /// # Errors
    /// As [`Backbone::set_threads`].
    pub fn set_threads(&mut self, count: usize) -> Result<(), DetectorError> {
        Ok(self.backbone.set_threads(count)?)
    }

    /// The backbone.
    pub fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        self.preprocess.recipe()
    }
}

/// What the detector says of one frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// The shelf's score; low means unfamiliar.
    pub score: f32,
    /// The share of good images that look at least as unfamiliar.
    pub p_value: f32,
    /// Index of the class that the backbone takes it for; `None` without a classifier.
    pub class: Option<usize>,
    /// What the score alone says.
    pub judgement: Judgement,
}

/// Where a frame is unfamiliar: signed values, row by row, on the cells of the feature map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeatMap<'a> {
    /// Row-major values.
    pub cells: &'a [f32],
    /// Cells in a row.
    pub columns: usize,
    /// The value that counts as full heat: fixed when the shelf was fitted, never taken from this image.
    pub scale: f32,
}

/// A reading with what it rests on; valid until the next frame.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// The reading.
    pub reading: Reading,
    /// Feature and logits, and the map where the heat map was asked for.
    pub activations: Activations<'a>,
    /// The heat map, where it was asked for and the backbone has a feature map.
    pub heat: Option<HeatMap<'a>>,
}

/// A shelf with its backbone, ready for frames.
pub struct Detector<'a> {
    shelf: Shelf<'a>,
    frontend: Frontend,
    scratch: Vec<f32>,
    heat: Vec<f32>,
}

impl<'a> Detector<'a> {
    /// Takes the network in the shelf as it was made ready for devices; else reads the ONNX file in the shelf, or `onnx`
    /// where it is given, and checks that it is the one fitted with.
    ///
    /// # Errors
    /// [`DetectorError`]: no backbone, another backbone, or one that does not run here.
    pub fn new(shelf: Shelf<'a>, onnx: Option<&[u8]>) -> Result<Self, DetectorError> {
        if let Some(program) = shelf.program().filter(|p| onnx.is_none() && Backbone::reads_program(p)) {
            let recipe = Recipe::from_toml(shelf.header().recipe)?;
            return Self::checked(shelf, Frontend::of_program(program, &recipe)?);
        }
        #[cfg(feature = "onnx")]
        return Self::from_onnx(shelf, onnx);
        #[cfg(not(feature = "onnx"))]
        Err(DetectorError::NoReader)
    }

    /// As [`Detector::new`], but reads the ONNX file in any case; only then the classifier's weights are known.
    ///
    /// # Errors
    /// As [`Detector::new`].
    #[cfg(feature = "onnx")]
    pub fn from_onnx(shelf: Shelf<'a>, onnx: Option<&[u8]>) -> Result<Self, DetectorError> {
        let onnx = onnx.or_else(|| shelf.backbone()).ok_or(DetectorError::Detached)?;
        let facts = shelf.header().backbone;
        if sha256(onnx) != facts.sha256 {
            return Err(DetectorError::OtherBackbone);
        }
        let recipe = Recipe::from_toml(shelf.header().recipe)?;
        let choice = TapChoice {
            feature: Some(facts.feature.to_owned()),
            logits: facts.logits.map(str::to_owned),
            map: facts.map.map(str::to_owned),
        };
        Self::checked(shelf, Frontend::new(onnx, &choice, &recipe)?)
    }

    /// Refuses a network that gives other vectors than the shelf says.
    fn checked(shelf: Shelf<'a>, frontend: Frontend) -> Result<Self, DetectorError> {
        let (dims, backbone) = (shelf.header().dims, frontend.backbone());
        let map = backbone.map_shape().map(|[_, rows, columns]| [rows as u32, columns as u32]);
        if (dims.feature as usize, dims.classes as usize, dims.map) != (backbone.dim(), backbone.classes(), map) {
            return Err(DetectorError::Shape);
        }
        Ok(Self::with_frontend(shelf, frontend))
    }

    /// A detector on a frontend that is known to be the shelf's.
    pub(crate) fn with_frontend(shelf: Shelf<'a>, frontend: Frontend) -> Self {
        let cells = shelf.header().dims.map.map_or(0, |[rows, columns]| rows as usize * columns as usize);
        Self { scratch: vec![0.0; shelf.scratch_len()], heat: vec![0.0; cells], shelf, frontend }
    }

    /// A second one for another thread, on the same prepared backbone.
    ///
    /// # Errors
    /// [`DetectorError::Backbone`].
    pub fn fork(&self) -> Result<Self, DetectorError> {
        Ok(Self::with_frontend(self.shelf.clone(), self.frontend.fork()?))
    }

    /// As many detectors as `count` for as many threads.
    ///
    /// # Errors
    /// [`DetectorError::Backbone`].
    pub fn forks(&self, count: usize) -> Result<Vec<Self>, DetectorError> {
        (0..count.max(1)).map(|_| self.fork()).collect()
    }

    /// Computes each image with so many threads from now on, to the same bits.
    ///
    /// # Errors
    /// [`DetectorError::Backbone`].
    pub fn set_threads(&mut self, count: usize) -> Result<(), DetectorError> {
        self.frontend.set_threads(count)
    }

    /// Judges a frame.
    ///
    /// # Errors
    /// [`DetectorError`] where it cannot be judged: that is a fault, not a pass.
    pub fn read(&mut self, frame: &Frame) -> Result<Reading, DetectorError> {
        Ok(self.look(frame, false)?.reading)
    }

    /// Judges a frame and shows what the reading rests on.
    ///
    /// # Errors
    /// As [`Detector::read`].
    pub fn look(&mut self, frame: &Frame, with_heat: bool) -> Result<Look<'_>, DetectorError> {
        let activations = self.frontend.run(frame, with_heat)?;
        let score = self.shelf.score(activations.feature, activations.logits, &mut self.scratch)?;
        let class = (!activations.logits.is_empty()).then(|| predicted(activations.logits));
        let (p_value, judgement) = (self.shelf.p_value(score), self.shelf.judge(score));
        let header = self.shelf.header();
        let heat = match (activations.map, header.dims.map) {
            (Some(map), Some([_, columns])) => {
                self.shelf.heat_map(map, &mut self.scratch, &mut self.heat)?;
                Some(HeatMap { cells: &self.heat, columns: columns as usize, scale: header.heat_scale })
            }
            _ => None,
        };
        Ok(Look { reading: Reading { score, p_value, class, judgement }, activations, heat })
    }

    /// Preprocessing and backbone.
    pub fn frontend(&self) -> &Frontend {
        &self.frontend
    }

    /// The shelf.
    pub fn shelf(&self) -> &Shelf<'a> {
        &self.shelf
    }
}
