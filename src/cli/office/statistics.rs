//! What `inspect` shows of a statistics file.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use shelfwatch::digest::hexadecimal;
use shelfwatch::method::{Collapse, Statistics};

use crate::cli::table::Table;

/// Both forms of it, for people and as JSON.
pub(in crate::cli) fn statistics(path: &Path, bytes: &[u8]) -> Result<(String, Value)> {
    let read = Statistics::from_bytes(bytes).with_context(|| path.display().to_string())?;
    Ok((statistics_text(path, &read)?, statistics_json(&read)?))
}

fn statistics_text(path: &Path, read: &Statistics) -> Result<String> {
    let collapse = Collapse::measure(read)?;
    let mut text = format!(
        "{}: statistics of {} images, {} dimensions, {} logits, {} images kept as a sample\n  {}\n",
        path.display(),
        read.images(),
        read.dim(),
        read.logits(),
        read.sample().len(),
        collapse.plain()
    );
    let mut table = Table::new(&["  class", "images"]);
    for (name, count) in read.class_counts() {
        table.row([format!("  {name}"), count.to_string()]);
    }
    text += &table.text();
    Ok(text)
}

fn statistics_json(read: &Statistics) -> Result<Value> {
    let collapse = Collapse::measure(read)?;
    let classes: Vec<Value> =
        read.class_counts().into_iter().map(|(name, images)| json!({ "name": name, "images": images })).collect();
    Ok(json!({
        "kind": "statistics", "images": read.images(), "dim": read.dim(), "logits": read.logits(),
        "sample": read.sample().len(), "backbone_sha256": hexadecimal(&read.provenance().backbone_sha256),
        "nc1": collapse.nc1, "nc2_equinorm": collapse.equinorm, "nc2_equiangular": collapse.equiangular,
        "effective_rank": collapse.effective_rank, "dead_channels": collapse.dead_channels, "classes": classes
    }))
}
