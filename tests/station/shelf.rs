//! One shelf for all tests, kept beside the build and fitted anew only when its inputs change; and parts whose judgement
//! by it is known.
#![allow(dead_code, reason = "each test file uses its share")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use shelfwatch::detector::Detector;
use shelfwatch::digest::{hexadecimal, sha256};
use shelfwatch::frame::Frame;
use shelfwatch::image_file::{decode, encode_jpeg, encode_png};
use shelfwatch::parts::{Product, SIDE, Stranger, Subject, draw};
use shelfwatch::shelf::write_atomically;
use shelfwatch_core::{Judgement, Shelf};

use crate::drawn;

/// Drawn pictures of each of the eight products: to fit on, to calibrate with (299 support 1 % at least).
const FIT: u64 = 40;
const CALIBRATE: u64 = 38;
/// Draws that neither fitting nor calibrating sees.
const FRESH: u64 = 77;

/// The shelf file.
pub(crate) fn shelf() -> &'static Path {
    static SHELF: OnceLock<PathBuf> = OnceLock::new();
    SHELF.get_or_init(|| {
        let program = fs::read(env!("CARGO_BIN_EXE_shelfwatch")).unwrap();
        let inputs = [fs::read(drawn::backbone()).unwrap(), fs::read(drawn::recipe()).unwrap(), program];
        let hashes: Vec<u8> =
            inputs.iter().flat_map(|input| sha256(input)).chain([FIT as u8, CALIBRATE as u8]).collect();
        let key = hexadecimal(&sha256(&hashes)[..8]);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("station-{key}.shelf"));
        if !path.exists() {
            fit(&path);
        }
        path
    })
}

fn fit(path: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let [images, calibrate, made] = ["fit", "calibrate", "line.shelf"].map(|name| folder.path().join(name));
    drawn::good(&images, FIT, 1);
    drawn::good(&calibrate, CALIBRATE, 2);
    let calibrate = calibrate.to_str().unwrap();
    let more = ["--calibrate", calibrate, "--alpha-reject", "0.01", "--alpha-review", "0.03", "--score", "neco+knn"];
    let answer = drawn::fit(&images, &made, &more);
    assert_eq!(answer.code, 0, "{}{}", answer.out, answer.err);
    // Another test program may do the same at this moment; each puts a whole file there.
    write_atomically(path, &fs::read(made).unwrap()).unwrap();
}

/// A picture, and what the shelf says of its PNG and of its pixels.
pub(crate) struct Part {
    pub(crate) frame: Frame,
    pub(crate) png: Vec<u8>,
    pub(crate) score: f32,
}

/// So many good parts that pass.
pub(crate) fn good(count: usize) -> Vec<Part> {
    let subjects = (0..).map(|i| (Subject::Product(Product::ALL[i as usize % 8]), (FRESH << 32) | i));
    chosen(subjects, count, |judgement, _, _| judgement == Judgement::Pass)
}

/// So many parts that are rejected, and not by a hair.
pub(crate) fn strange(count: usize) -> Vec<Part> {
    let kinds: Vec<Stranger> = Stranger::all().filter(|kind| kind.group() != "camera").collect();
    let subjects = (0..).map(|i| (Subject::Stranger(kinds[i as usize % kinds.len()]), (FRESH << 32) | i));
    chosen(subjects, count, |judgement, score, threshold| {
        judgement == Judgement::Reject && score < threshold - 0.05 * threshold.abs()
    })
}

/// The picture as the JPEG that a camera would send.
pub(crate) fn jpeg(part: &Part) -> Vec<u8> {
    encode_jpeg(&part.frame, 95).unwrap()
}

/// What the shelf says of an image file, and its score.
pub(crate) fn judge(file: &[u8]) -> (Judgement, f32) {
    let bytes = fs::read(shelf()).unwrap();
    let mut detector = Detector::new(Shelf::parse(&bytes).unwrap(), None).unwrap();
    let reading = detector.read(&decode(file).unwrap()).unwrap();
    (reading.judgement, reading.score)
}

fn chosen(
    subjects: impl Iterator<Item = (Subject, u64)>,
    count: usize,
    is_wanted: impl Fn(Judgement, f32, f32) -> bool,
) -> Vec<Part> {
    let bytes = fs::read(shelf()).unwrap();
    let mut detector = Detector::new(Shelf::parse(&bytes).unwrap(), None).unwrap();
    let threshold = detector.shelf().header().reject.threshold;
    let mut parts = Vec::with_capacity(count);
    for (drawn, (subject, seed)) in subjects.enumerate() {
        if parts.len() == count {
            break;
        }
        assert!(drawn < 200 + 20 * count, "only {} of {count} parts are what they should be", parts.len());
        let frame = draw(subject, seed, SIDE).frame;
        let reading = detector.read(&frame).unwrap();
        if is_wanted(reading.judgement, reading.score, threshold) {
            let png = encode_png(&frame).unwrap();
            parts.push(Part { frame, png, score: reading.score });
        }
    }
    parts
}
