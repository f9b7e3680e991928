//! Raw pixels to RGB, against a plain reference in floating point; every truncation, bad stride and stray region of
//! interest is an error and none a panic.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use shelfwatch::camera::{CameraError, decode};
use shelfwatch::capture::{Capture, PixelFormat};

const RAW: [PixelFormat; 4] = [PixelFormat::Yuyv, PixelFormat::Grey, PixelFormat::Rgb24, PixelFormat::Nv12];

/// Bytes of a row without padding.
fn row(format: PixelFormat, width: usize) -> usize {
    match format {
        PixelFormat::Yuyv => width.div_ceil(2) * 4,
        PixelFormat::Grey => width,
        PixelFormat::Rgb24 => width * 3,
        _ => width.div_ceil(2) * 2,
    }
}

/// A capture of noise with `padding` bytes behind each row; the last row's padding is missing.
fn noise(format: PixelFormat, width: usize, height: usize, padding: usize, seed: u64) -> Capture {
    let stride = row(format, width) + padding;
    let rows = if format == PixelFormat::Nv12 { height + height.div_ceil(2) } else { height };
    let mut state = seed | 1;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let bytes = (0..stride * rows - padding).map(|_| byte()).collect();
    let (width, height, stride) = (width as u32, height as u32, stride as u32);
    Capture { format, width, height, stride, bytes, ..Capture::empty() }
}

/// What a pixel should be, by the formulas of BT.601 as they stand there.
fn reference(capture: &Capture, x: usize, y: usize) -> [f64; 3] {
    let (stride, bytes) = (capture.stride as usize, &capture.bytes);
    let at = |index: usize| f64::from(bytes[index]);
    let yuv = |luma: f64, u: f64, v: f64| {
        let (luma, pb, pr) = ((luma - 16.0) / 219.0, (u - 128.0) / 224.0, (v - 128.0) / 224.0);
        let (red, blue) = (luma + 1.402 * pr, luma + 1.772 * pb);
        let green = (luma - 0.299 * red - 0.114 * blue) / 0.587;
        [red, green, blue].map(|level| (level * 255.0).clamp(0.0, 255.0))
    };
    let start = y * stride;
    match capture.format {
        PixelFormat::Grey => [at(start + x); 3],
        PixelFormat::Rgb24 => [0, 1, 2].map(|channel| at(start + x * 3 + channel)),
        PixelFormat::Yuyv => {
            let quad = start + x / 2 * 4;
            yuv(at(start + x * 2), at(quad + 1), at(quad + 3))
        }
        _ => {
            let chroma = stride * (capture.height as usize + y / 2) + x / 2 * 2;
            yuv(at(start + x), at(chroma), at(chroma + 1))
        }
    }
}

fn raw() -> impl Strategy<Value = PixelFormat> {
    prop_oneof![Just(RAW[0]), Just(RAW[1]), Just(RAW[2]), Just(RAW[3])]
}

proptest! {
    #[test]
    fn agrees_with_the_reference(
        format in raw(), width in 1..20_usize, height in 1..9_usize, padding in 0..5_usize, seed in any::<u64>(),
        corner in any::<[u16; 4]>(), whole in any::<bool>(), old in 0..2000_usize,
    ) {
        let capture = noise(format, width, height, padding, seed);
        let part = |pick: u16, most: usize| usize::from(pick) % most;
        let (left, top) = (part(corner[0], width), part(corner[1], height));
        let (across, down) = (1 + part(corner[2], width - left), 1 + part(corner[3], height - top));
        let (roi, left, top, across, down) = if whole {
            (None, 0, 0, width, height)
        } else {
            (Some([left, top, across, down].map(|side| side as u32)), left, top, across, down)
        };
        let frame = decode(&capture, roi, vec![7; old]).unwrap();
        prop_assert_eq!((frame.width() as usize, frame.height() as usize), (across, down));
        for (index, pixel) in frame.rgb().chunks_exact(3).enumerate() {
            let exact = reference(&capture, left + index % across, top + index / across);
            for (found, exact) in pixel.iter().zip(exact) {
                // Rounding, and the error of factors with 16 binary digits after the point.
                prop_assert!((f64::from(*found) - exact).abs() <= 0.51, "{index}: {found} for {exact}");
            }
        }
    }

    #[test]
    fn nothing_makes_it_panic(
        format in prop_oneof![raw(), Just(PixelFormat::File)],
        width in prop_oneof![0..40_u32, any::<u32>()], height in prop_oneof![0..40_u32, any::<u32>()],
        stride in prop_oneof![0..200_u32, any::<u32>()], bytes in proptest::collection::vec(any::<u8>(), 0..3000),
        roi in proptest::option::of(prop_oneof![any::<[u32; 4]>(), proptest::array::uniform4(0..40_u32)]),
    ) {
        let capture = Capture { format, width, height, stride, bytes, ..Capture::empty() };
        if let Err(error) = decode(&capture, roi, Vec::new()) {
            prop_assert!(error.is_of_one_image() && error.to_string().contains(';'), "{}", error);
        }
    }
}

#[test]
fn every_truncation_is_an_error() {
    for format in RAW {
        for (width, height) in [(1, 1), (2, 2), (5, 3), (8, 4)] {
            for padding in [0, 3] {
                let whole = noise(format, width, height, padding, 5);
                assert!(decode(&whole, None, Vec::new()).is_ok());
                for length in 0..whole.bytes.len() {
                    let cut = Capture { bytes: whole.bytes[..length].to_vec(), ..whole.clone() };
                    let error = decode(&cut, None, Vec::new()).unwrap_err();
                    assert_eq!(error.code(), "image-damaged");
                    assert!(error.to_string().contains("bytes are missing"), "{error}");
                }
                let narrow = Capture { stride: row(format, width) as u32 - 1, ..whole };
                assert!(matches!(decode(&narrow, None, Vec::new()), Err(CameraError::Raw { .. })));
            }
        }
    }
}

#[test]
fn every_truncation_of_a_file_is_an_error() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pictures");
    for name in ["444.jpg", "progressive.jpg", "rgb.png"] {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let capture = |bytes: &[u8]| Capture { bytes: bytes.to_vec(), ..Capture::empty() };
        let whole = decode(&capture(&bytes), None, Vec::new()).unwrap();
        for length in 0..bytes.len() {
            // A PNG is whole before its last chunk's checksum has come.
            match decode(&capture(&bytes[..length]), None, Vec::new()) {
                Err(error) => assert_eq!(error.code(), "image-damaged"),
                Ok(frame) => {
                    assert!(name.ends_with("png") && length + 12 >= bytes.len() && frame == whole, "{name} {length}");
                }
            }
        }
    }
}

#[test]
fn a_region_is_cut_out_of_a_file_and_one_outside_is_refused() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pictures/rgb.png");
    let capture = Capture { bytes: std::fs::read(path).unwrap(), ..Capture::empty() };
    let whole = decode(&capture, None, Vec::new()).unwrap();
    let (width, height) = (whole.width(), whole.height());
    let part = decode(&capture, Some([2, 1, width - 3, height - 1]), Vec::new()).unwrap();
    for y in 0..part.height() {
        for x in 0..part.width() {
            let (from, to) = (((y + 1) * width + x + 2) as usize * 3, (y * part.width() + x) as usize * 3);
            assert_eq!(part.rgb()[to..to + 3], whole.rgb()[from..from + 3]);
        }
    }
    let raw = noise(PixelFormat::Nv12, width as usize, height as usize, 0, 3);
    for roi in [[0, 0, width + 1, 1], [0, height, 1, 1], [0, 0, 0, 1], [0, 0, 1, 0], [1, 0, u32::MAX, 1]] {
        for capture in [&capture, &raw] {
            let error = decode(capture, Some(roi), Vec::new()).unwrap_err();
            assert_eq!(error.code(), "roi-outside");
            assert!(error.to_string().contains("inside it"), "{error}");
        }
    }
}

#[test]
fn the_buffer_of_the_last_frame_is_used_again() {
    for format in RAW {
        let capture = noise(format, 64, 48, 0, 9);
        let first = decode(&capture, None, Vec::new()).unwrap().into_rgb();
        let (address, capacity) = (first.as_ptr(), first.capacity());
        let again = decode(&capture, Some([3, 3, 20, 20]), first).unwrap().into_rgb();
        let again = decode(&capture, None, again).unwrap().into_rgb();
        assert_eq!((again.as_ptr(), again.capacity()), (address, capacity), "{}", format.name());
    }
}
