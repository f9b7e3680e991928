//! The penultimate feature of a classifier for tensors from standard input, to compare machines or runtimes.

use std::io::{Read, Write, stdin, stdout};
use std::path::PathBuf;

use anyhow::ensure;
use clap::Parser;
use shelfwatch::backbone::{Backbone, TapChoice};
use shelfwatch::preprocess::Pixels;

/// `features M.onnx < tensors > features`: 32-bit floats, little-endian, one tensor or feature after another
#[derive(Parser)]
struct Arguments {
    /// The classifier; its input must be float.
    onnx: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let mut backbone = Backbone::load(&std::fs::read(Arguments::parse().onnx)?, &TapChoice::default(), None)?;
    let size = 4 * backbone.input_shape().iter().product::<usize>();
    let mut bytes = Vec::new();
    stdin().read_to_end(&mut bytes)?;
    ensure!(bytes.len().is_multiple_of(size), "{} bytes are no whole number of tensors of {size}", bytes.len());
    for tensor in bytes.chunks_exact(size) {
        let (values, _) = tensor.as_chunks();
        let values = values.iter().map(|value| f32::from_le_bytes(*value)).collect();
        for value in backbone.run_without_map(&Pixels::F32(values))?.feature {
            stdout().write_all(&value.to_le_bytes())?;
        }
    }
    Ok(())
}
