//! `shelfwatch inspect`: what is in a shelf, statistics or ONNX file.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};
#[cfg(feature = "onnx")]
use shelfwatch::backbone::{self, Candidates};
use shelfwatch::digest::hexadecimal;
use shelfwatch::shelf::signer;
use shelfwatch_core::layout::MAGIC;
use shelfwatch_core::{Encoding, Guarantee, Header, Matrix, OperatingPoint, SectionKind, Shelf};

use super::Outcome;
use super::graph;
use super::inputs;
#[cfg(feature = "office")]
use super::office::statistics;
use super::table::Table;

/// Show what is in a shelf, statistics or ONNX file.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shelfwatch inspect line.shelf
  shelfwatch inspect model.onnx          # tensors that may serve as feature, logits and map
  shelfwatch inspect model.onnx --graph  # where the time goes on this machine
  shelfwatch inspect line.stats --json")]
pub(super) struct Inspect {
    /// The file.
    file: PathBuf,
    /// Run the network here: its nodes, who runs each, and its share of the time.
    #[arg(long)]
    graph: bool,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub(super) fn run(self) -> Result<Outcome> {
        let bytes = inputs::file(&self.file)?;
        let (text, json) = if self.graph {
            self.nodes(&bytes)?
        } else if bytes.starts_with(&MAGIC[..6]) {
            let shelf = Shelf::parse(&bytes).with_context(|| self.file.display().to_string())?;
            (shelf_text(&self.file, &bytes, &shelf), shelf_json(&bytes, &shelf))
        } else if bytes.starts_with(b"SHELFST") {
            statistics(&self.file, &bytes)?
        } else {
            onnx(&self.file, &bytes)?
        };
        if self.json {
            println!("{}", serde_json::to_string_pretty(&json)?);
        } else {
            print!("{text}");
        }
        Ok(Outcome::Fine)
    }

    fn nodes(&self, bytes: &[u8]) -> Result<(String, Value)> {
        let named = || self.file.display().to_string();
        let nodes = if bytes.starts_with(&MAGIC[..6]) {
            graph::of_shelf(Shelf::parse(bytes).with_context(named)?)
        } else {
            graph::of_onnx(bytes)
        };
        let nodes = nodes.with_context(named)?;
        Ok((graph::text(&nodes), graph::json(&nodes)))
    }
}

/// What of an ONNX file may serve as what.
#[cfg(feature = "onnx")]
fn onnx(path: &Path, bytes: &[u8]) -> Result<(String, Value)> {
    let found = backbone::inspect(bytes, None)
        .with_context(|| format!("{} is no shelf or statistics file, and as ONNX", path.display()))?;
    Ok((onnx_text(path, &found), serde_json::to_value(&found)?))
}

#[cfg(not(feature = "onnx"))]
fn onnx(path: &Path, _: &[u8]) -> Result<(String, Value)> {
    anyhow::bail!("{} is no shelf, and this program reads no other files; inspect it on a PC", path.display())
}

/// The mathematics that reads them is not in a program for devices.
#[cfg(not(feature = "office"))]
fn statistics(path: &Path, _: &[u8]) -> Result<(String, Value)> {
    anyhow::bail!("{} holds statistics, which a program for devices does not read; inspect it on a PC", path.display())
}

/// A promise in words.
pub(super) fn point_text(point: &OperatingPoint, header: &Header<'_>) -> String {
    let confidence = match header.evidence.guarantee {
        Guarantee::Guaranteed => format!("with {} % confidence", 100.0 * (1.0 - point.delta)),
        Guarantee::Marginal => "on average".to_owned(),
    };
    format!(
        "below {:.6}: at most {} % false alarms {confidence} (k = {} of n = {}, upper bound {:.3} %)",
        point.threshold,
        100.0 * point.alpha,
        point.k,
        header.evidence.calibration_images,
        100.0 * point.bound
    )
}

/// Both operating points as JSON.
pub(super) fn points_json(header: &Header<'_>) -> Value {
    let point = |point: &OperatingPoint| {
        json!({
            "threshold": point.threshold, "alpha": point.alpha, "delta": point.delta, "k": point.k,
            "n": header.evidence.calibration_images, "bound": point.bound
        })
    };
    let guarantee = match header.evidence.guarantee {
        Guarantee::Guaranteed => "guaranteed",
        Guarantee::Marginal => "marginal",
    };
    json!({ "reject": point(&header.reject), "review": point(&header.review), "guarantee": guarantee })
}

/// How the rows of a matrix section are stored, as `27 × 1280, 4 rows f16, 23 rows i8`.
fn matrix_text(kind: SectionKind, bytes: &[u8]) -> Option<String> {
    use SectionKind as S;
    let is_matrix = !matches!(
        kind,
        S::Header
            | S::Centre
            | S::InverseScale
            | S::Calibration
            | S::VimOrigin
            | S::DirectionCentre
            | S::Backbone
            | S::Golden
            | S::Signature
            | S::Needs
            | S::Program
    );
    let matrix = Matrix::parse(bytes).filter(|_| is_matrix)?;
    let mut text = format!("{} × {}", matrix.rows(), matrix.columns());
    for encoding in [Encoding::F32, Encoding::F16, Encoding::I8] {
        let rows = matrix.iter().filter(|row| row.encoding() == encoding).count();
        if rows > 0 {
            let _ = write!(text, ", {rows} rows {}", encoding.name());
        }
    }
    Some(text)
}

/// Bytes that describe the projection: all that lies between header and calibration scores.
fn projection_bytes(shelf: &Shelf<'_>) -> usize {
    use SectionKind as S;
    let of_projection = |kind: &S| matches!(kind, S::Centre | S::Basis | S::InverseScale | S::StandardBasis);
    shelf.sections().filter(|(kind, _)| of_projection(kind)).map(|(_, bytes)| bytes.len()).sum()
}

fn shelf_text(path: &Path, bytes: &[u8], shelf: &Shelf<'_>) -> String {
    let header = shelf.header();
    let scores: Vec<_> = header.terms.iter().map(|term| term.kind.name()).collect();
    let mut text = format!("{}: shelf, {} bytes, written by {}\n", path.display(), bytes.len(), header.written_by);
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<12} {value}");
    };
    if !header.product.is_empty() {
        line("product", header.product.to_owned());
    }
    let d = header.dims;
    let inside = if shelf.backbone().is_some() { "inside" } else { "detached" };
    line(
        "backbone",
        format!("{inside}, {} bytes, SHA-256 {}", header.backbone.length, hexadecimal(&header.backbone.sha256)),
    );
    line(
        "taps",
        format!(
            "feature {} ({}), logits {} ({}), map {}{}",
            header.backbone.feature,
            d.feature,
            header.backbone.logits.unwrap_or("none"),
            d.classes,
            header.backbone.map.unwrap_or("none"),
            d.map.map_or_else(String::new, |[rows, columns]| format!(" ({rows} × {columns})"))
        ),
    );
    line("score", format!("{} ({})", scores.join("+"), header.evidence.choice));
    line(
        "projection",
        format!(
            "{} of {} dimensions, {:.1} % of the variance, {} bytes",
            d.components,
            d.feature,
            100.0 * header.evidence.explained_variance,
            projection_bytes(shelf)
        ),
    );
    line("reject", point_text(&header.reject, header));
    line("review", point_text(&header.review, header));
    let evidence = header.evidence;
    line(
        "images",
        format!(
            "{} fitted, {} calibrated, {} unusable ({})",
            evidence.fit_images, evidence.calibration_images, evidence.bad_images, evidence.split
        ),
    );
    line("golden", format!("{} images", shelf.golden().iter().count()));
    line("signature", signature_text(bytes));
    if shelf.needs().next().is_some() {
        line("needs", shelf.needs().collect::<Vec<_>>().join(", "));
    }
    if !header.class_names.is_empty() {
        line("classes", header.classes().collect::<Vec<_>>().join(", "));
    }
    line("recipe", header.recipe.trim().replace('\n', "\n               "));
    let mut table = Table::new(&["  section", "bytes", "content"]);
    for (kind, bytes) in shelf.sections() {
        let content = matrix_text(kind, bytes).unwrap_or_default();
        table.row([format!("  {kind}"), bytes.len().to_string(), content]);
    }
    text + &table.text()
}

fn signature_text(bytes: &[u8]) -> String {
    match signer(bytes) {
        Ok(Some(key)) => format!("by {}; `verify` tells whether it is trusted", key.fingerprint()),
        Ok(None) => "none".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn signature_json(bytes: &[u8]) -> Value {
    match signer(bytes) {
        Ok(key) => json!({ "signed_by": key.map(|key| key.fingerprint()), "sound": true }),
        Err(_) => json!({ "signed_by": null, "sound": false }),
    }
}

fn shelf_json(bytes: &[u8], shelf: &Shelf<'_>) -> Value {
    let header = shelf.header();
    let sections: Vec<Value> = shelf
        .sections()
        .map(|(kind, bytes)| json!({ "name": kind.name(), "bytes": bytes.len(), "content": matrix_text(kind, bytes) }))
        .collect();
    let terms: Vec<Value> = header
        .terms
        .iter()
        .map(|term| json!({ "score": term.kind.name(), "offset": term.offset, "weight": term.weight }))
        .collect();
    let evidence = header.evidence;
    json!({
        "kind": "shelf", "bytes": bytes.len(), "written_by": header.written_by, "product": header.product,
        "backbone": {
            "sha256": hexadecimal(&header.backbone.sha256), "bytes": header.backbone.length, "inside": shelf.backbone().is_some(),
            "feature": header.backbone.feature, "logits": header.backbone.logits, "map": header.backbone.map
        },
        "dims": {
            "feature": header.dims.feature, "classes": header.dims.classes, "components": header.dims.components,
            "map": header.dims.map
        },
        "terms": terms, "points": points_json(header), "heat_scale": header.heat_scale, "recipe": header.recipe,
        "projection_bytes": projection_bytes(shelf),
        "evidence": {
            "fit_images": evidence.fit_images, "calibration_images": evidence.calibration_images,
            "bad_images": evidence.bad_images, "explained_variance": evidence.explained_variance,
            "split": evidence.split, "choice": evidence.choice, "statistics_sha256": hexadecimal(&evidence.statistics_sha256)
        },
        "classes": header.classes().collect::<Vec<_>>(), "golden": shelf.golden().iter().count(), "sections": sections,
        "signature": signature_json(bytes), "needs": shelf.needs().collect::<Vec<_>>()
    })
}

#[cfg(feature = "onnx")]
fn onnx_text(path: &Path, found: &Candidates) -> String {
    let mut text = format!(
        "{}: ONNX network by {}, opset {}, {} nodes{}\n  input        {} {} {}\n",
        path.display(),
        if found.producer.is_empty() { "an unnamed tool" } else { &found.producer },
        found.opset,
        found.nodes,
        if found.quantised { ", quantised" } else { "" },
        found.input.name,
        found.input.text(),
        found.input.dtype.name()
    );
    let shape = found.shape.map(|side| side.to_string()).join(" × ");
    let _ = writeln!(text, "  tensors for an image of {shape}; * marks what `fit` takes by itself");
    let mut table = Table::new(&["  ", "role", "tensor", "operator", "shape", "type"]);
    for tensor in &found.tensors {
        let shape = tensor.shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × ");
        let role = format!("{:?}", tensor.role).to_lowercase();
        let mark = if tensor.chosen { "  *" } else { "" }.to_owned();
        table.row([mark, role, tensor.tensor.clone(), tensor.op.clone(), shape, tensor.dtype.clone()]);
    }
    text + &table.text()
}
