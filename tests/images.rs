//! Image files through the public door: every format, every way to be broken, and the kit's pixels.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;
#[path = "kit/npy.rs"]
mod npy;

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::{ProptestConfig, any, prop, proptest};
use shelfwatch::frame::Frame;
use shelfwatch::image_file::{ImageError, decode, encode_jpeg, encode_png, is_image_name, read};
use shelfwatch::preprocess::{Pixels, Preprocess, Recipe};

fn picture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pictures").join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(picture(name)).unwrap()
}

/// A float32 `.npy` file: its shape and its values in C order.
fn npy_f32(path: &Path) -> (Vec<u64>, Vec<f32>) {
    npy::npy(&fs::read(path).unwrap())
}

fn assert_same(found: &Frame, expected: &Frame, what: &str) {
    assert_eq!((found.width(), found.height()), (expected.width(), expected.height()), "{what}");
    assert!(found.rgb() == expected.rgb(), "{what}: pixels differ");
}

#[test]
fn lossless_formats_agree() {
    let expected = read(&picture("rgb.png")).unwrap();
    assert_eq!((expected.width(), expected.height()), (21, 13));
    for name in ["rgb.bmp", "rgb.tif", "rgb.ppm", "rgb.webp", "alpha.png"] {
        assert_same(&read(&picture(name)).unwrap(), &expected, name);
    }
    assert_same(&decode(&encode_png(&expected).unwrap()).unwrap(), &expected, "own PNG");
}

#[test]
fn jpeg_gives_the_pixels_of_libjpeg_turbo() {
    for name in ["420", "444", "progressive"] {
        let expected = read(&picture(&format!("{name}_expected.png"))).unwrap();
        assert_same(&read(&picture(&format!("{name}.jpg"))).unwrap(), &expected, name);
    }
    let frame = read(&picture("rgb.png")).unwrap();
    let again = decode(&encode_jpeg(&frame, 100).unwrap()).unwrap();
    assert_eq!((again.width(), again.height()), (21, 13));
}

#[test]
fn exif_orientation_is_respected() {
    for orientation in 1..=8 {
        let name = format!("turned{orientation}");
        let expected = read(&picture(&format!("{name}_expected.png"))).unwrap();
        assert_same(&read(&picture(&format!("{name}.jpg"))).unwrap(), &expected, &name);
    }
}

#[test]
fn grey_palette_bits_and_depth() {
    let grey = read(&picture("grey.png")).unwrap();
    assert!(grey.rgb().chunks(3).all(|rgb| rgb[0] == rgb[1] && rgb[1] == rgb[2]));
    assert_same(&read(&picture("grey.pgm")).unwrap(), &grey, "pgm");
    // v·257 + 120 lies less than half a step above v.
    assert_same(&read(&picture("sixteen.png")).unwrap(), &grey, "16 bits");
    let palette = read(&picture("palette_expected.png")).unwrap();
    assert_same(&read(&picture("palette.png")).unwrap(), &palette, "palette");
    assert!(read(&picture("one.png")).unwrap().rgb().iter().all(|&value| value == 0 || value == 255));
}

#[test]
fn what_cannot_be_read_says_so() {
    assert!(matches!(decode(&[]), Err(ImageError::Empty)));
    assert!(matches!(decode(b"GIF89a and so on"), Err(ImageError::Format)));
    assert!(matches!(decode(b"hello, world"), Err(ImageError::Format)));
    let error = read(&picture("absent.png")).unwrap_err().to_string();
    assert!(error.contains("absent.png") && error.contains(';'), "{error}");
    let error = read(&picture("cmyk.jpg")).unwrap_err().to_string();
    assert!(error.contains("CMYK") && error.contains("cmyk.jpg"), "{error}");
    assert!(is_image_name(Path::new("a/B.JPEG")) && !is_image_name(Path::new("notes.txt")));
}

#[test]
fn truncated_files_are_refused() {
    for name in ["420.jpg", "444.jpg", "progressive.jpg", "rgb.png", "rgb.ppm", "rgb.webp"] {
        let whole = bytes(name);
        assert!(decode(&whole).is_ok(), "{name}");
        // These add no pixel: a PNG's checksum of the last pixels with its end chunk, a WebP's padding to even length.
        let spare = match name.rsplit('.').next().unwrap() {
            "png" => 16,
            "webp" => 1,
            _ => 0,
        };
        for length in 0..whole.len() - spare {
            assert!(decode(&whole[..length]).is_err(), "{name} cut to {length} of {}", whole.len());
        }
    }
}

#[test]
fn a_name_does_not_make_a_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("really_a_png.jpg");
    fs::write(&path, bytes("rgb.png")).unwrap();
    assert_same(&read(&path).unwrap(), &read(&picture("rgb.png")).unwrap(), "PNG named jpg");
}

#[test]
fn bombs_are_refused() {
    // A PPM and a BMP that claim far more than they hold.
    let error = decode(b"P6\n60000 60000\n255\nxxx").unwrap_err();
    assert!(matches!(error, ImageError::TooLarge { .. }), "{error}");
    assert!(decode(b"P6\n0 10\n255\n").is_err());
    let mut bmp = bytes("rgb.bmp");
    bmp[18..26].copy_from_slice(&[0xFF, 0x3F, 0, 0, 0xFF, 0x3F, 0, 0]);
    assert!(decode(&bmp).is_err());
    let mut jpeg = bytes("444.jpg");
    let frame = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xFF, 0xDC, 0xFF, 0xDC]);
    assert!(matches!(decode(&jpeg), Err(ImageError::TooLarge { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn random_bytes_never_panic(noise in prop::collection::vec(any::<u8>(), 0..400), start in 0usize..7) {
        let starts: [&[u8]; 7] =
            [b"", b"\xFF\xD8\xFF", b"\x89PNG\r\n\x1A\n", b"BM", b"II*\0", b"P6\n", b"RIFF\x40\0\0\0WEBPVP8 "];
        let _ = decode(&[starts[start], &noise].concat());
    }

    #[test]
    fn mutated_files_never_panic(
        file in 0usize..11,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let names = [
            "420.jpg", "444.jpg", "progressive.jpg", "rgb.png", "palette.png", "sixteen.png",
            "rgb.bmp", "rgb.tif", "rgb.ppm", "rgb.webp", "turned6.jpg",
        ];
        let mut bytes = bytes(names[file]);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = decode(&bytes);
    }
}

#[test]
fn kit_tensors_are_reproduced() {
    let Some(kit) = kit::kit() else { return };
    let imagenet = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    for (name, side, (mean, std)) in [("cifar10", 32, imagenet), ("steel", 128, ([0.5; 3], [0.5; 3]))] {
        let folder = kit.join(name);
        let (shape, expected) = npy_f32(&folder.join("reference/parity_inputs.npy"));
        let files = fs::read_to_string(folder.join("reference/parity_inputs.txt")).unwrap();
        let mut preprocess = Preprocess::new(&Recipe::stretch(side, side, mean, std).unwrap());
        let stride: usize = shape[1..].iter().map(|&n| n as usize).product();
        let (mut largest, mut sum, mut count) = (0f32, 0f64, 0usize);
        for (file, expected) in files.lines().zip(expected.chunks_exact(stride)) {
            let Pixels::F32(found) = preprocess.run(&read(&folder.join(file)).unwrap()).unwrap() else {
                panic!("f32 expected")
            };
            assert_eq!(found.len(), stride);
            for (&a, &b) in found.iter().zip(expected) {
                largest = largest.max((a - b).abs());
                sum += f64::from((a - b).abs());
                count += 1;
            }
        }
        println!("{name}: largest difference {largest:e}, mean {:e}", sum / count as f64);
        // These files have the model's size already: decoding and normalising are compared, not resizing.
        assert!(largest < 1e-6, "{name}: {largest}");
    }
}
