//! A shelf on its way: everything but thresholds and calibration scores, which are taken with the draft itself.

use shelfwatch_core::{BackboneFacts, Dims, Evidence, Header, MAX_TERMS, OperatingPoint, SectionKind, Term};

use crate::backbone::{Backbone, TapChoice, program};
use crate::detector::DetectorError;
use crate::fit::error::FitError;
use crate::fit::sections::{Layout, Precisions};
use crate::shelf::{Sections, calibration_section, golden_section};

/// What a shelf says of itself, gathered step by step.
pub(super) struct Draft<'a> {
    pub(super) product: &'a str,
    pub(super) recipe: &'a str,
    pub(super) onnx: &'a [u8],
    pub(super) onnx_sha256: [u8; 32],
    pub(super) backbone: &'a Backbone,
    pub(super) layout: Layout<'a>,
    pub(super) terms: Vec<Term>,
    pub(super) class_names: &'a str,
    pub(super) needs: &'a [String],
    pub(super) evidence: Evidence<'a>,
}

/// What only calibration gives.
pub(super) struct Calibrated<'a> {
    pub(super) reject: OperatingPoint,
    pub(super) review: OperatingPoint,
    pub(super) heat_scale: f32,
    /// Ascending.
    pub(super) scores: &'a [f32],
    pub(super) golden: &'a [(Vec<u8>, f32)],
    pub(super) with_backbone: bool,
}

impl Draft<'_> {
    /// A shelf that scores as the final one will, with one made-up calibration score and no backbone.
    pub(super) fn provisional(&self, precisions: Precisions) -> Result<Vec<u8>, FitError> {
        let point = OperatingPoint { threshold: 0.0, alpha: 0.5, delta: 0.5, k: 1, bound: 1.0 };
        let mut evidence = self.evidence;
        evidence.calibration_images = 1;
        let calibrated = Calibrated {
            reject: point,
            review: point,
            heat_scale: 1.0,
            scores: &[0.0],
            golden: &[],
            with_backbone: false,
        };
        self.assemble(precisions, &calibrated, evidence)
    }

    /// The shelf.
    pub(super) fn finish(&self, precisions: Precisions, calibrated: &Calibrated<'_>) -> Result<Vec<u8>, FitError> {
        self.assemble(precisions, calibrated, self.evidence)
    }

    /// The network made ready for devices, where it needs no inference engine.
    fn program(&self) -> Result<Option<Vec<u8>>, FitError> {
        let taps = self.backbone.taps().clone();
        let choice = TapChoice { feature: Some(taps.feature), logits: taps.logits, map: taps.map };
        Ok(program(self.onnx, &choice, Some(self.backbone.input_shape())).map_err(DetectorError::Backbone)?)
    }

    fn assemble(
        &self,
        precisions: Precisions,
        calibrated: &Calibrated<'_>,
        evidence: Evidence<'_>,
    ) -> Result<Vec<u8>, FitError> {
        let taps = self.backbone.taps();
        let header = Header {
            product: self.product,
            written_by: concat!("shelfwatch ", env!("CARGO_PKG_VERSION")),
            backbone: BackboneFacts {
                sha256: self.onnx_sha256,
                length: self.onnx.len() as u64,
                feature: &taps.feature,
                logits: taps.logits.as_deref(),
                map: taps.map.as_deref(),
            },
            recipe: self.recipe,
            dims: Dims {
                feature: self.backbone.dim() as u32,
                classes: self.backbone.classes() as u32,
                components: self.layout.components() as u32,
                map: self.backbone.map_shape().map(|[_, rows, columns]| [rows as u32, columns as u32]),
            },
            terms: self.terms.iter().take(MAX_TERMS).copied().collect(),
            constants: self.layout.constants(),
            reject: calibrated.reject,
            review: calibrated.review,
            heat_scale: calibrated.heat_scale,
            evidence,
            class_names: self.class_names,
        };
        let mut sections = Sections::default();
        let header =
            postcard::to_stdvec(&header).map_err(|_| shelfwatch_core::Error::Malformed(SectionKind::Header))?;
        sections.push(SectionKind::Header, header);
        self.layout.write(precisions, &mut sections);
        sections.push(SectionKind::Calibration, calibration_section(calibrated.scores));
        if calibrated.with_backbone {
            sections.push(SectionKind::Backbone, self.onnx.to_vec());
            if let Some(program) = self.program()? {
                sections.push(SectionKind::Program, program);
            }
        }
        let golden = calibrated.golden.iter().map(|(file, score)| (file.as_slice(), *score));
        sections.push(SectionKind::Golden, golden_section(golden));
        if !self.needs.is_empty() {
            sections.push(SectionKind::Needs, self.needs.join("\n").into_bytes());
        }
        Ok(sections.assemble())
    }
}

/// A single score as it is, or several each in units of its standard deviation.
pub(super) fn term(kind: shelfwatch_core::ScoreKind, norm: Option<(f64, f64)>) -> Term {
    let (mean, deviation) = norm.unwrap_or((0.0, 1.0));
    Term { kind, offset: mean as f32, weight: (1.0 / deviation) as f32 }
}
