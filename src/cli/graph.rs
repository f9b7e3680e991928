//! `shelfwatch inspect --graph`: every node of a network, who runs it, and where the time goes on this machine.

use std::fmt::Write;

use anyhow::Result;
use serde_json::{Value, json};
use shelfwatch::backbone::NodeTime;
#[cfg(feature = "onnx")]
use shelfwatch::backbone::{Backbone, TapChoice};
use shelfwatch::detector::Detector;
use shelfwatch_core::Shelf;

use super::table::Table;

/// Images of which the least times are taken.
const RUNS: u32 = 20;

/// Times of the nodes of an ONNX file.
#[cfg(feature = "onnx")]
pub(super) fn of_onnx(onnx: &[u8]) -> Result<Vec<NodeTime>> {
    Ok(Backbone::load(onnx, &TapChoice::default(), None)?.profile(RUNS)?)
}

#[cfg(not(feature = "onnx"))]
pub(super) fn of_onnx(_: &[u8]) -> Result<Vec<NodeTime>> {
    anyhow::bail!("it is no shelf, and this program reads no other files")
}

/// Times of the nodes of a shelf's network.
pub(super) fn of_shelf(shelf: Shelf<'_>) -> Result<Vec<NodeTime>> {
    let detector = Detector::new(shelf, None)?;
    Ok(detector.frontend().backbone().fork()?.profile(RUNS)?)
}

fn total(nodes: &[NodeTime]) -> f64 {
    nodes.iter().map(|n| n.time.as_secs_f64()).sum::<f64>().max(f64::MIN_POSITIVE)
}

/// The nodes as a table.
pub(super) fn text(nodes: &[NodeTime]) -> String {
    let all = total(nodes);
    let own: f64 = nodes.iter().filter(|n| n.own).map(|n| n.time.as_secs_f64()).sum();
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{} nodes, {:.2} ms for one image on one thread here; our kernels run {:.1} % of the time, tract the rest",
        nodes.len(),
        1e3 * all,
        100.0 * own / all
    );
    let mut table = Table::new(&["share", "ms", "10⁹ products/s", "by", "operator", "node"]);
    for node in nodes {
        let seconds = node.time.as_secs_f64();
        let speed = node.products as f64 / seconds.max(1e-9) / 1e9;
        table.row([
            format!("{:.1} %", 100.0 * seconds / all),
            format!("{:.3}", 1e3 * seconds),
            if node.products == 0 { "–".to_owned() } else { format!("{speed:.1}") },
            if node.own { "us" } else { "tract" }.to_owned(),
            node.operator.clone(),
            node.name.clone(),
        ]);
    }
    text + &table.text()
}

/// The nodes as JSON.
pub(super) fn json(nodes: &[NodeTime]) -> Value {
    json!({ "seconds": total(nodes), "nodes": nodes })
}
