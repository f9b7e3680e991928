//! Draws the demo line's pictures into folders, one per class, for training a backbone.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use clap::Parser;
use shelfwatch::image_file::encode_png;
use shelfwatch::parts::{self, Product, Stranger, Subject};

/// `cargo run --release --example draw_parts -- --out data/train --split train --per-class 1500`
#[derive(Parser)]
struct Arguments {
    /// Folder to draw into; made if missing.
    #[arg(long)]
    out: PathBuf,
    /// `train` or `test` draw good parts (and `_belt`, the bare belt, for `train`);
    /// `strangers` draws everything that does not belong, and `boxes.csv`.
    #[arg(long, default_value = "train")]
    split: String,
    /// Pictures per class.
    #[arg(long, default_value_t = 1500)]
    per_class: u64,
    /// Number of the draw; different seeds share no picture.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Side of a picture, in pixels.
    #[arg(long, default_value_t = parts::SIDE)]
    size: u32,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let good = Product::ALL.into_iter().map(|p| (p.name().to_owned(), Subject::Product(p)));
    let (subjects, number): (Vec<(String, Subject)>, u64) = match arguments.split.as_str() {
        "train" => (good.chain([("_belt".to_owned(), Subject::Belt)]).collect(), 0x72),
        "test" => (good.collect(), 0x65),
        "strangers" => {
            let strange = Stranger::all().map(|s| (format!("{}/{}", s.group(), s.name()), Subject::Stranger(s)));
            (strange.collect(), 0x74)
        }
        other => anyhow::bail!("split `{other}` is unknown; use train, test or strangers"),
    };
    let strange = arguments.split == "strangers";
    let mut boxes = String::from("file,product,x0,y0,x1,y1\n");
    for (folder, subject) in subjects {
        fs::create_dir_all(arguments.out.join(&folder))?;
        for i in 0..arguments.per_class {
            let drawn = parts::draw(subject, (arguments.seed << 40) | (number << 32) | i, arguments.size);
            let name = format!("{folder}/{i:05}.png");
            let product = drawn.product.map_or("", Product::name);
            let place =
                drawn.defect.map_or_else(|| ",,,".to_owned(), |b| format!("{},{},{},{}", b.x0, b.y0, b.x1, b.y1));
            writeln!(boxes, "{name},{product},{place}")?;
            fs::write(arguments.out.join(&name), encode_png(&drawn.frame)?)?;
        }
    }
    if strange {
        fs::write(arguments.out.join("boxes.csv"), boxes)?;
    }
    Ok(())
}
