//! The same numbers on the device as on this computer: features of the kit's parity inputs and scores of its images, once
//! here and once on the emulated device. Integer graphs must agree to the bit, float ones to a relative 1e-5, and every
//! image must get the same verdict.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;
mod factory;
mod kit;
mod line;
#[path = "kit/npy.rs"]
mod npy;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use binary::{argument, shelfwatch};
use factory::{Ended, Factory, alone};
use line::{daemon, fresh};
use serde_json::Value;
use shelfwatch::backbone::{Backbone, TapChoice};
use shelfwatch::preprocess::Pixels;

/// Relative difference of float features and scores between two processors.
const FLOAT: f32 = 1e-5;

/// Set, model, and whether its arithmetic is of integers.
const MODELS: [(&str, &str, bool); 6] = [
    ("cifar10", "resnet20", false),
    ("cifar10", "resnet20_int8_qdq", true),
    ("cifar10", "resnet20_int8_qop", true),
    ("steel", "mobilenetv2_100", false),
    ("steel", "mobilenetv2_100_int8_qdq", true),
    ("steel", "mobilenetv2_100_int8_qop", true),
];

/// The kit, the daemon and `examples/features.rs` for the machine.
fn needed() -> Option<(PathBuf, PathBuf, PathBuf)> {
    let kit = kit::kit()?;
    let daemon = daemon()?;
    let features = daemon.with_file_name("examples").join("features");
    fresh(&features, "cross/virtual-factory/daemon.sh").then_some((kit, daemon, features))
}

fn must(factory: &mut Factory, command: &str) -> String {
    let (ended, said) = factory.sh(command);
    assert_eq!(ended, Ended::Exit(0), "{command}\n{said}");
    said
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect()
}

/// The greatest difference, relative to the feature's largest value.
fn difference(here: &[f32], there: &[f32]) -> f32 {
    assert_eq!(here.len(), there.len());
    let largest = here.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
    here.iter().zip(there).map(|(a, b)| (a - b).abs() / largest).fold(0.0, f32::max)
}

#[test]
fn the_features_of_the_parity_inputs_are_the_same() {
    let _alone = alone();
    let Some((kit, _, features)) = needed() else { return };
    let Some(mut factory) = Factory::start(&[(&features, "/root/features")]) else { return };
    for (set, model, integers) in MODELS {
        let onnx = fs::read(kit.join(set).join("models").join(format!("{model}.onnx"))).unwrap();
        let (shape, inputs) = npy::npy::<f32>(&fs::read(kit.join(set).join("reference/parity_inputs.npy")).unwrap());
        let size = shape[1..].iter().product::<u64>() as usize;
        let mut backbone = Backbone::load(&onnx, &TapChoice::default(), None).unwrap();
        let mut here = Vec::new();
        for tensor in inputs.chunks_exact(size) {
            here.extend_from_slice(backbone.run(&Pixels::F32(tensor.to_vec())).unwrap().feature);
        }
        factory.put("/tmp/model.onnx", &onnx);
        let bytes: Vec<u8> = inputs.iter().flat_map(|value| value.to_le_bytes()).collect();
        factory.put("/tmp/tensors", &bytes);
        must(&mut factory, "/root/features /tmp/model.onnx </tmp/tensors >/tmp/features");
        let there = floats(&factory.get("/tmp/features"));
        let far = difference(&here, &there);
        println!("{set}/{model}: features of {} inputs differ by at most {far:e}, relatively", shape[0]);
        assert!(far <= if integers { 0.0 } else { FLOAT }, "{set}/{model}: {far:e}");
    }
    factory.power_off();
}

/// A shelf of the set's fit images, by the program here.
fn fitted(kit: &Path, set: &str, model: &str, folder: &Path) -> PathBuf {
    let of = |name: &str| argument(&kit.join(set).join(name)).to_owned();
    let (recipe, shelf) = (folder.join("recipe.toml"), folder.join("line.shelf"));
    fs::write(&recipe, kit::recipe(set)).unwrap();
    let fit = shelfwatch([
        "fit",
        "--backbone",
        &of(&format!("models/{model}.onnx")),
        "--images",
        &of("images/fit"),
        "--calibrate",
        &of("images/id_val"),
        "--preprocess",
        argument(&recipe),
        "--alpha-reject",
        "auto",
        "--alpha-review",
        "0.05",
        "-o",
        argument(&shelf),
    ]);
    assert_eq!(fit.code, 0, "{}", fit.err);
    shelf
}

/// Some of the kit's images of every kind, in a folder of their own.
fn some_images(kit: &Path, set: &str, each: usize, folder: &Path) {
    for split in fs::read_dir(kit.join(set).join("images")).unwrap() {
        let split = split.unwrap();
        let name = split.file_name().into_string().unwrap();
        if name != "id_test" && !name.starts_with("ood_") {
            continue;
        }
        let mut images: Vec<PathBuf> = fs::read_dir(split.path())
            .unwrap()
            .flat_map(|class| fs::read_dir(class.unwrap().path()).unwrap().map(|image| image.unwrap().path()))
            .collect();
        images.sort();
        for (number, image) in images.iter().step_by((images.len() / each).max(1)).enumerate() {
            let ending = image.extension().unwrap().to_str().unwrap();
            fs::copy(image, folder.join(format!("{name}-{number:03}.{ending}"))).unwrap();
        }
    }
}

/// Each image's line of `score --json`, by its file name.
fn judged(text: &str) -> Vec<(String, f32, String)> {
    let mut all: Vec<_> = text
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{text}"));
            let name = Path::new(line["path"].as_str().unwrap()).file_name().unwrap().to_str().unwrap().to_owned();
            (name, line["score"].as_f64().unwrap() as f32, line["verdict"].as_str().unwrap().to_owned())
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

#[test]
fn every_image_gets_the_same_score_and_verdict() {
    let _alone = alone();
    let Some((kit, daemon, _)) = needed() else { return };
    let Some(mut factory) = Factory::start(&[(&daemon, "/root/shelfwatch")]) else { return };
    for (set, model, integers, each) in [
        ("cifar10", "resnet20", false, 40),
        ("cifar10", "resnet20_int8_qdq", true, 40),
        ("steel", "mobilenetv2_100_int8_qdq", true, 8),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let shelf = fitted(&kit, set, model, folder.path());
        let images = folder.path().join("images");
        fs::create_dir(&images).unwrap();
        some_images(&kit, set, each, &images);
        let here = shelfwatch(["score", "--shelf", argument(&shelf), "--json", argument(&images)]);
        let tar = folder.path().join("images.tar");
        let packed = Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(folder.path()).arg("images").status();
        assert!(packed.unwrap().success());
        factory.put("/tmp/images.tar", &fs::read(&tar).unwrap());
        factory.put("/tmp/line.shelf", &fs::read(&shelf).unwrap());
        must(&mut factory, "rm -rf /tmp/images; tar -xf /tmp/images.tar -C /tmp");
        let (ended, said) =
            factory.sh("/root/shelfwatch score --shelf /tmp/line.shelf --json /tmp/images >/tmp/there 2>/tmp/errors");
        assert_eq!(ended, Ended::Exit(here.code), "{said}{}", String::from_utf8_lossy(&factory.get("/tmp/errors")));
        let (here, there) = (judged(&here.out), judged(&String::from_utf8(factory.get("/tmp/there")).unwrap()));
        assert!(here.len() > each, "{} images", here.len());
        assert_eq!(here.len(), there.len());
        let mut most = 0.0_f32;
        for ((name, score, verdict), (also, again, likewise)) in here.iter().zip(&there) {
            assert_eq!((name, verdict), (also, likewise), "{set}/{model}: {score} here, {again} there");
            most = most.max((score - again).abs() / score.abs());
        }
        println!("{set}/{model}: {} images, same verdicts, scores differ by at most {most:e}, relatively", here.len());
        // From equal features the scores are reckoned in f32 by the core, in the same order everywhere.
        assert!(most <= if integers { 0.0 } else { FLOAT }, "{set}/{model}: {most:e}");
    }
    factory.power_off();
}
