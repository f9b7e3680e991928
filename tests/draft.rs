//! JPEGs at reduced scale: Pillow's draft bit for bit, the same region as at full scale, the same refusals, and the same
//! score at the fit, at `score` and through the camera.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;

use std::cell::Cell;
use std::fs;
use std::path::Path;

use binary::{argument, shelfwatch};
use proptest::prelude::{ProptestConfig, any, prop, prop_assert_eq, proptest};
use serde_json::Value;
use shelfwatch::camera;
use shelfwatch::capture::Capture;
use shelfwatch::detector::Detector;
use shelfwatch::frame::Frame;
use shelfwatch::image_file::{self, ImageError, decode, decode_reduced, encode_jpeg};
use shelfwatch::intake;
use shelfwatch::parts::{Product, Subject, draw};
use shelfwatch::preprocess::{Pixels, Preprocess, PreprocessError, Recipe};
use shelfwatch_core::Shelf;

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

fn at(bytes: &[u8], by: u32) -> Result<Frame, ImageError> {
    decode_reduced(bytes, &|_, _| by)
}

fn recipe(text: &str) -> Recipe {
    Recipe::from_toml(text).unwrap()
}

fn values(recipe: &Recipe, frame: &Frame) -> Vec<f32> {
    match Preprocess::new(recipe).run(frame).unwrap() {
        Pixels::F32(values) => values.clone(),
        Pixels::U8(bytes) => bytes.iter().map(|&byte| f32::from(byte)).collect(),
    }
}

/// A smooth picture as a JPEG: waves of about 200 pixels.
fn smooth(width: u32, height: u32) -> Vec<u8> {
    let level = |x: u32, y: u32, channel: u32| {
        let (u, v) = (x as f32 + 30.0 * channel as f32, y as f32);
        (128.0 + 70.0 * (u / 40.0).sin() + 50.0 * (v / 30.0 + u / 90.0).cos()) as u8
    };
    let rgb = (0..height).flat_map(|y| (0..width).flat_map(move |x| [0, 1, 2].map(|channel| level(x, y, channel))));
    encode_jpeg(&Frame::new(width, height, rgb.collect()).unwrap(), 95).unwrap()
}

#[test]
fn pixels_are_those_of_pillows_draft() {
    for name in ["420", "422", "444", "grey", "progressive", "restarts", "turned"] {
        let bytes = fixture(&format!("draft/{name}.jpg"));
        let whole = decode(&bytes).unwrap();
        for by in [2, 4, 8] {
            let expected = decode(&fixture(&format!("draft/{name}_{by}.png"))).unwrap();
            let found = at(&bytes, by).unwrap();
            assert_eq!((found.width() * by, found.height() * by), (whole.width(), whole.height()), "{name} 1/{by}");
            assert!(found.rgb() == expected.rgb() && found.reduction() == by, "{name} 1/{by}");
        }
        assert_eq!(at(&bytes, 1).unwrap(), whole, "{name}");
    }
}

#[test]
fn what_cannot_be_reduced_is_whole() {
    let jpeg = fixture("draft/420.jpg");
    let whole = decode(&jpeg).unwrap();
    for (asked, taken) in [(0, 1), (3, 2), (7, 4), (9, 8), (u32::MAX, 8)] {
        assert_eq!(at(&jpeg, asked).unwrap(), at(&jpeg, taken).unwrap(), "{asked}");
    }
    assert_eq!(at(&jpeg, 0).unwrap(), whole);
    let odd = smooth(636, 482);
    assert_eq!(at(&odd, 8).unwrap(), at(&odd, 2).unwrap());
    // 21×13, and other formats.
    for name in ["pictures/420.jpg", "pictures/progressive.jpg", "source.png", "pictures/rgb.webp"] {
        for by in [2, 4, 8] {
            assert_eq!(at(&fixture(name), by).unwrap(), decode(&fixture(name)).unwrap(), "{name} {by}");
        }
    }
    let one = encode_jpeg(&Frame::new(1, 1, vec![90; 3]).unwrap(), 90).unwrap();
    assert_eq!(at(&one, 8).unwrap(), decode(&one).unwrap());
    // The recipe is asked with the upright sides.
    let asked = Cell::new([0, 0]);
    let ask = |width: u32, height: u32| {
        asked.set([width, height]);
        1
    };
    decode_reduced(&fixture("draft/turned.jpg"), &ask).unwrap();
    assert_eq!(asked.get(), [72, 120]);
}

#[test]
fn the_tensor_shows_the_same_region() {
    let jpeg = smooth(640, 480);
    for geometry in [
        "resize = \"stretch\"",
        "resize = \"letterbox\"",
        "resize = \"shorter-side\"\nshorter_side = 60",
        "roi = [160, 80, 320, 240]",
        "roi = [8, 16, 256, 448]\nfilter = \"bicubic\"",
        "channels = \"grey\"\nlayout = \"nhwc\"",
    ] {
        let whole = recipe(&format!("size = [48, 48]\n{geometry}"));
        let draft = whole.with_draft().unwrap();
        let (full, reduced) = (decode(&jpeg).unwrap(), intake::file(&jpeg, &draft).unwrap());
        assert!(reduced.reduction() >= 4, "{geometry}: 1/{}", reduced.reduction());
        let (expected, found) = (values(&whole, &full), values(&draft, &reduced));
        let differences: Vec<f32> = expected.iter().zip(&found).map(|(a, b)| (a - b).abs() * 255.0).collect();
        let largest = differences.iter().fold(0_f32, |most, &difference| most.max(difference));
        let mean = differences.iter().sum::<f32>() / differences.len() as f32;
        println!("{geometry:?}: 1/{}, mean {mean:.2} levels, largest {largest:.1}", reduced.reduction());
        // Waves of 200 pixels keep 1 % more of their 120 levels than under the wider filter; a region that is off by two
        // pixels of the source makes a mean of 2 levels and more.
        assert!(mean < 1.0 && largest < 4.0, "{geometry}: mean {mean}, largest {largest}");
        // The heat map lies over the same part of the picture.
        let by = reduced.reduction() as f32;
        let (large, small) = (whole.window(&full), draft.window(&reduced));
        assert!(large.iter().zip(small).all(|(a, b)| (a - b * by).abs() < 0.01), "{geometry}: {large:?} {small:?}");
    }
}

#[test]
fn frames_smaller_than_allowed_are_refused() {
    let reduced = at(&smooth(640, 480), 8).unwrap();
    let run = |text: &str| Preprocess::new(&recipe(text)).run(&reduced).map(|_| ());
    assert_eq!(run("size = [48, 48]"), Err(PreprocessError::Reduced { by: 8, most: 1 }));
    assert_eq!(run("size = [100, 100]\ndraft = true"), Err(PreprocessError::Reduced { by: 8, most: 4 }));
    assert_eq!(run("size = [48, 48]\ndraft = true"), Ok(()));
    let outside = run("size = [8, 8]\ndraft = true\nroi = [320, 0, 328, 480]");
    assert!(matches!(outside, Err(PreprocessError::Roi { width: 640, height: 480, .. })), "{outside:?}");
}

#[test]
fn a_stations_region_is_cut_out_at_its_place() {
    let jpeg = smooth(640, 480);
    let capture = Capture { bytes: jpeg.clone(), ..Capture::empty() };
    let draft = recipe("size = [32, 32]\ndraft = true");
    for (roi, by) in [
        ([64, 32, 320, 256], 8),
        ([68, 32, 320, 256], 4),
        ([65, 32, 320, 256], 1),
        ([0, 0, 96, 64], 2),
        ([0, 0, 33, 64], 1),
    ] {
        let part = intake::capture(&capture, Some(roi), &draft, Vec::new()).unwrap();
        assert_eq!((part.reduction(), part.width(), part.height()), (by, roi[2] / by, roi[3] / by), "{roi:?}");
        // As with the region in the recipe.
        let [x, y, w, h] = roi;
        let inner = recipe(&format!("size = [32, 32]\ndraft = true\nroi = [{x}, {y}, {w}, {h}]"));
        assert_eq!(values(&draft, &part), values(&inner, &intake::file(&jpeg, &inner).unwrap()), "{roi:?}");
    }
    for roi in [[0, 0, 648, 8], [640, 0, 8, 8], [0, 0, 0, 8], [8, 0, u32::MAX - 7, 8]] {
        let error = intake::capture(&capture, Some(roi), &draft, Vec::new()).unwrap_err();
        let at_full_scale = camera::decode(&capture, Some(roi), Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), at_full_scale.to_string());
    }
}

/// Reduced or not, a file is either read or refused in the same words; lengths in the decoder's may differ.
fn same_outcome(bytes: &[u8], what: &str) {
    let words = |result: Result<Frame, ImageError>| {
        result.map(|_| ()).map_err(|error| error.to_string().replace(|letter: char| letter.is_ascii_digit(), ""))
    };
    let full = words(decode(bytes));
    for by in [2, 4, 8] {
        assert_eq!(words(at(bytes, by)), full, "{what} at 1/{by}");
    }
}

#[test]
fn hostile_files_are_refused_as_before() {
    for name in ["420", "444", "grey", "progressive", "restarts", "turned"] {
        let bytes = fixture(&format!("draft/{name}.jpg"));
        for length in (0..bytes.len()).step_by(7).chain([bytes.len() - 2, bytes.len() - 1]) {
            same_outcome(&bytes[..length], &format!("{name} cut to {length}"));
            assert!(at(&bytes[..length], 2).is_err(), "{name} cut to {length}");
        }
        let sof = bytes.windows(2).position(|pair| pair == [0xFF, 0xC0] || pair == [0xFF, 0xC2]).unwrap();
        // Depths, and sizes from nothing to beyond the limit, that the data do not have.
        for depth in [0, 1, 7, 9, 12, 16, 255] {
            let mut other = bytes.clone();
            other[sof + 4] = depth;
            same_outcome(&other, &format!("{name} of {depth} bits"));
        }
        for size in [[0, 0, 0, 8], [0, 8, 0, 8], [0x3F, 0xF8, 0x3F, 0xF8], [0x40, 8, 0x40, 8], [0xFF, 0xF8, 0xFF, 0xF8]]
        {
            let mut other = bytes.clone();
            other[sof + 5..sof + 9].copy_from_slice(&size);
            same_outcome(&other, &format!("{name} of size {size:?}"));
        }
        // Lossless, arithmetic and other processes that the data are not of.
        for process in [0xC1, 0xC3, 0xC5, 0xC9, 0xCA, 0xCB] {
            let mut other = bytes.clone();
            other[sof + 1] = process;
            same_outcome(&other, &format!("{name} as process {process:x}"));
        }
    }
    same_outcome(&fixture("pictures/cmyk.jpg"), "CMYK");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    #[test]
    fn mutated_files_have_the_same_outcome(
        file in 0usize..7,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let names = ["420", "422", "444", "grey", "progressive", "restarts", "turned"];
        let mut bytes = fixture(&format!("draft/{}.jpg", names[file]));
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        same_outcome(&bytes, names[file]);
    }

    #[test]
    fn the_text_says_it_only_where_it_is_on(on: bool, size in prop::array::uniform2(1u32..300)) {
        let text = format!("size = {size:?}\ndraft = {on}");
        let recipe = Recipe::from_toml(&text).unwrap();
        prop_assert_eq!((recipe.draft(), recipe.to_toml().contains("draft = true")), (on, on));
        prop_assert_eq!(Recipe::from_toml(&recipe.to_toml()).unwrap(), recipe);
    }
}

/// Parts of every product as JPEGs of 192×192, twice what the backbone takes.
fn large(folder: &Path, count: u64, seed: u64) {
    for product in Product::ALL {
        let class = folder.join(product.name());
        fs::create_dir_all(&class).unwrap();
        for i in 0..count {
            let drawn = draw(Subject::Product(product), (seed << 32) | i, 192);
            fs::write(class.join(format!("{i:03}.jpg")), encode_jpeg(&drawn.frame, 90).unwrap()).unwrap();
        }
    }
}

#[test]
fn fit_score_and_camera_agree_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    large(&path("fit"), 24, 1);
    large(&path("line"), 2, 9);
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let (backbone, preprocess, images) = (models.join("parts_int8.onnx"), models.join("parts.toml"), path("fit"));
    let mut shelves = Vec::new();
    for (name, draft) in [("draft.shelf", true), ("plain.shelf", false)] {
        let shelf = path(name);
        let mut arguments = vec!["fit", "--backbone", argument(&backbone), "--preprocess", argument(&preprocess)];
        arguments.extend(["--images", argument(&images), "--alpha-reject", "0.05", "--alpha-review", "0.1"]);
        arguments.extend(draft.then_some("--draft"));
        arguments.extend(["-o", argument(&shelf)]);
        let answer = shelfwatch(arguments);
        assert_eq!(answer.code, 0, "{}", answer.err);
        let bytes = fs::read(path(name)).unwrap();
        assert_eq!(Shelf::parse(&bytes).unwrap().header().recipe.contains("draft = true"), draft);
        shelves.push(bytes);
    }
    let (shelf, line) = (path("draft.shelf"), path("line"));
    let scored = shelfwatch(["score", "--shelf", argument(&shelf), "--json", argument(&line)]);
    let lines: Vec<Value> = scored.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 16, "{}", scored.err);
    let mut detectors: Vec<Detector<'_>> =
        shelves.iter().map(|bytes| Detector::new(Shelf::parse(bytes).unwrap(), None).unwrap()).collect();
    let recipe = detectors[0].frontend().recipe().clone();
    let mut other = 0;
    for line in &lines {
        let bytes = fs::read(line["path"].as_str().unwrap()).unwrap();
        let capture = Capture { bytes: bytes.clone(), ..Capture::empty() };
        let frame = intake::capture(&capture, None, &recipe, Vec::new()).unwrap();
        assert_eq!(frame.reduction(), 2);
        let by_camera = detectors[0].read(&frame).unwrap().score;
        assert_eq!((line["score"].as_f64().unwrap() as f32).to_bits(), by_camera.to_bits(), "{line}");
        let plain = detectors[1].read(&image_file::decode(&bytes).unwrap()).unwrap().score;
        other += usize::from(plain.to_bits() != by_camera.to_bits());
    }
    assert!(other > 0, "the option changes nothing");
    // Golden images, too, are decoded by the recipe: with their expected scores they prove the shelf.
    let golden = detectors[0].shelf().golden();
    assert!(golden.iter().count() > 0);
    for image in golden.iter() {
        let found = detectors[0].read(&intake::file(image.file, &recipe).unwrap()).unwrap().score;
        assert_eq!(found.to_bits(), image.score.to_bits());
    }
}
