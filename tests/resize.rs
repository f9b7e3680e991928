//! Recipes and tensors through the public door: closeness to Pillow, geometry, and round trips of the text.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use proptest::prelude::{Just, ProptestConfig, Strategy, prop, prop_assert_eq, prop_oneof, proptest};
use shelfwatch::frame::Frame;
use shelfwatch::image_file::read;
use shelfwatch::preprocess::{PRESETS, Pixels, Preprocess, PreprocessError, Recipe};

fn fixture(name: &str) -> Frame {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

fn bytes_of(recipe: &str, frame: &Frame) -> Vec<u8> {
    let recipe = Recipe::from_toml(&format!("{recipe}\ndtype = \"uint8\"\nlayout = \"nhwc\"")).unwrap();
    match Preprocess::new(&recipe).run(frame).unwrap() {
        Pixels::U8(bytes) => bytes.clone(),
        Pixels::F32(_) => panic!("uint8 expected"),
    }
}

fn largest_difference(found: &[u8], expected: &[u8]) -> u8 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(&a, &b)| a.abs_diff(b)).max().unwrap()
}

#[test]
fn every_filter_is_within_one_level_of_pillow() {
    let source = fixture("source.png");
    for filter in ["nearest", "box", "bilinear", "bicubic", "lanczos3"] {
        for (way, size) in [("down", "[20, 14]"), ("up", "[75, 50]")] {
            let expected = fixture(&format!("{way}_{filter}.png"));
            let found = bytes_of(&format!("size = {size}\nfilter = \"{filter}\""), &source);
            let largest = largest_difference(&found, expected.rgb());
            let differing = found.iter().zip(expected.rgb()).filter(|(a, b)| a != b).count();
            println!("{filter} {way}: largest {largest}, {differing} of {} samples differ", found.len());
            // Of a box, a pixel whose centre lies exactly on an output edge falls to either side by rounding alone:
            // the test below.
            assert!(largest <= 1 || (filter, way) == ("box", "down"), "{filter} {way}: {largest}");
        }
    }
    let found = bytes_of("size = [19, 13]\nfilter = \"box\"", &source);
    assert!(largest_difference(&found, fixture("untied_box.png").rgb()) <= 1);
}

#[test]
fn box_differs_from_pillow_only_beside_ties() {
    let found = bytes_of("size = [20, 14]\nfilter = \"box\"", &fixture("source.png"));
    for (index, (&a, &b)) in found.iter().zip(fixture("down_box.png").rgb()).enumerate() {
        let (column, row) = (index / 3 % 20, index / 60);
        let beside = matches!(column, 9 | 10) || matches!(row, 6 | 7);
        assert!(a.abs_diff(b) <= 1 || beside, "column {column}, row {row}: {a} and {b}");
    }
}

#[test]
fn a_camera_picture_comes_to_pillows_tensor() {
    let found = bytes_of("size = [128, 128]", &fixture("big.jpg"));
    let expected = fixture("big_bilinear.png");
    let differing = found.iter().zip(expected.rgb()).filter(|(a, b)| a != b).count();
    println!("488×360 to 128×128: {differing} of {} samples differ by at most 1", found.len());
    assert!(largest_difference(&found, expected.rgb()) <= 1);
}

#[test]
fn region_and_centre_crop_agree_with_pillow() {
    let source = fixture("source.png");
    let found = bytes_of("size = [16, 16]\nroi = [7, 3, 40, 32]", &source);
    assert!(largest_difference(&found, fixture("roi_bilinear.png").rgb()) <= 1);
    let found = bytes_of("size = [24, 24]\nresize = \"shorter-side\"\nshorter_side = 27", &source);
    assert!(largest_difference(&found, fixture("centre_bilinear.png").rgb()) <= 1);
}

#[test]
fn letterbox_keeps_the_aspect_on_its_ground() {
    let frame = Frame::new(4, 2, vec![200; 24]).unwrap();
    let found = bytes_of("size = [8, 8]\nresize = \"letterbox\"\nfill = [1, 2, 3]", &frame);
    let row = |row: usize| &found[row * 24..row * 24 + 24];
    for ground in [0, 1, 6, 7] {
        assert_eq!(row(ground)[..3], [1, 2, 3], "row {ground}");
    }
    assert!((2..6).all(|inside| row(inside).iter().all(|&value| value == 200)));
}

#[test]
fn channels_layouts_and_normalisation() {
    let frame = Frame::new(2, 1, vec![255, 0, 51, 0, 255, 102]).unwrap();
    let run = |text: &str| Preprocess::new(&Recipe::from_toml(text).unwrap()).run(&frame).unwrap().clone();
    let base = "size = [2, 1]\nresize = \"none\"\n";
    assert_eq!(run(base), Pixels::F32(vec![1.0, 0.0, 0.0, 1.0, 0.2, 0.4]));
    assert_eq!(run(&format!("{base}channels = \"bgr\"")), Pixels::F32(vec![0.2, 0.4, 0.0, 1.0, 1.0, 0.0]));
    assert_eq!(run(&format!("{base}layout = \"nhwc\"")), Pixels::F32(vec![1.0, 0.0, 0.2, 0.0, 1.0, 0.4]));
    assert_eq!(
        run(&format!("{base}scale = 1\nmean = [5.0, 0, 1]\nstd = [2, 1, 0.5]")),
        Pixels::F32(vec![125.0, -2.5, 0.0, 255.0, 100.0, 202.0])
    );
    assert_eq!(run(&format!("{base}channels = \"grey\"\ndtype = \"uint8\"")), Pixels::U8(vec![82, 161]));
}

/// Every order of channels and axes holds the same bytes, each through its channel's numbers, ground included.
#[test]
fn orders_agree_with_each_other() {
    let frame = fixture("source.png");
    let (mean, std) = ([0.1_f32, 0.2, 0.3], [0.5_f32, 0.25, 2.0]);
    for geometry in ["size = [20, 14]", "size = [24, 20]\nresize = \"letterbox\"\nfill = [1, 128, 250]"] {
        let rgb = bytes_of(geometry, &frame);
        let plane = rgb.len() / 3;
        for (channels, order) in [("rgb", [0, 1, 2]), ("bgr", [2, 1, 0])] {
            for layout in ["nchw", "nhwc"] {
                let place = |pixel: usize, channel: usize| {
                    if layout == "nchw" { channel * plane + pixel } else { pixel * 3 + channel }
                };
                let text = format!("{geometry}\nchannels = \"{channels}\"\nlayout = \"{layout}\"");
                let bytes = Recipe::from_toml(&format!("{text}\ndtype = \"uint8\"")).unwrap();
                let floats = Recipe::from_toml(&format!("{text}\nmean = {mean:?}\nstd = {std:?}")).unwrap();
                let (mut bytes, mut floats) = (Preprocess::new(&bytes), Preprocess::new(&floats));
                let (Pixels::U8(bytes), Pixels::F32(floats)) =
                    (bytes.run(&frame).unwrap(), floats.run(&frame).unwrap())
                else {
                    panic!("bytes and floats were asked for")
                };
                for (pixel, rgb) in rgb.chunks_exact(3).enumerate() {
                    for channel in 0..3 {
                        let byte = rgb[order[channel]];
                        assert_eq!(bytes[place(pixel, channel)], byte, "{text}: pixel {pixel}");
                        let value = (f32::from(byte) / 255.0 - mean[channel]) / std[channel];
                        assert_eq!(floats[place(pixel, channel)].to_bits(), value.to_bits(), "{text}: pixel {pixel}");
                    }
                }
            }
        }
    }
}

#[test]
fn frames_that_do_not_fit_are_named() {
    let frame = Frame::new(10, 10, vec![0; 300]).unwrap();
    let fails = |text: &str| Preprocess::new(&Recipe::from_toml(text).unwrap()).run(&frame).unwrap_err();
    assert!(matches!(fails("size = [8, 8]\nresize = \"none\""), PreprocessError::Size { .. }));
    assert!(matches!(fails("size = [8, 8]\nroi = [5, 5, 6, 1]"), PreprocessError::Roi { .. }));
    let line = Frame::new(1, 16_000, vec![0; 48_000]).unwrap();
    let error = Preprocess::new(&Recipe::preset("timm").unwrap()).run(&line).unwrap_err();
    assert!(error.to_string().contains("stretch"), "{error}");
}

#[test]
fn presets_adapt_to_the_model() {
    for name in PRESETS {
        let preset = Recipe::preset(name).unwrap();
        assert_eq!(Recipe::from_toml(&preset.to_toml()).unwrap(), preset, "{name}");
        for side in [32, 128, 224, 299] {
            let adapted = preset.for_input(side, side).unwrap();
            assert_eq!(adapted.size(), [side, side]);
            assert_eq!(adapted.for_input(224, 224).unwrap().size(), [224, 224]);
        }
    }
    let text = Recipe::preset("torchvision").unwrap().for_input(128, 128).unwrap().to_toml();
    assert!(text.contains("shorter_side = 146"), "{text}");
    assert!(Recipe::preset("imagenet").is_none());
}

#[test]
fn bad_recipes_name_the_key_and_the_remedy() {
    for (text, word) in [
        ("", "`size` is missing"),
        ("size = [0, 3]", "`size`"),
        ("size = [8, 8]\nstd = [0, 1, 1]", "`std`"),
        ("size = [8, 8]\nmean = [nan, 1, 1]", "`mean`"),
        ("size = [8, 8]\nmean = [0.5]", "one per channel"),
        ("size = [8, 8]\nscale = inf", "`scale`"),
        ("size = [8, 8]\nscale = \"1/256\"", "1/255"),
        ("size = [8, 8]\nroi = [0, 0, 0, 4]", "`roi`"),
        ("size = [8, 8]\nroi = [4294967295, 0, 2, 4]", "`roi`"),
        ("size = [8, 8]\nresize = \"shorter-side\"", "`shorter_side` is missing"),
        ("size = [8, 8]\nresize = \"shorter-side\"\nshorter_side = 7", "`shorter_side` is 7"),
        ("size = [8, 8]\nfill = [0, 0, 0]", "`fill` has no effect"),
        ("size = [8, 8]\ndtype = \"uint8\"\nmean = [1, 1, 1]", "leave those out"),
        ("size = [8, 8]\nfliter = \"box\"", "did you mean `filter`"),
        ("size = [8, 8]\nfilter = \"triangle\"", "triangle"),
        ("size = [8", "docs/preprocess.md"),
    ] {
        let message = Recipe::from_toml(text).unwrap_err().to_string();
        assert!(message.contains(word), "{text:?} gave {message:?}");
        assert!(!message.contains('\n'), "{message:?}");
    }
}

fn recipes() -> impl Strategy<Value = String> {
    let resize = prop_oneof![
        Just("resize = \"none\"".to_owned()),
        Just("resize = \"stretch\"".to_owned()),
        (300u32..1000).prop_map(|side| format!("resize = \"shorter-side\"\nshorter_side = {side}")),
        prop::array::uniform3(0u8..).prop_map(|fill| format!("resize = \"letterbox\"\nfill = {fill:?}")),
    ];
    let statistics = prop_oneof![
        Just("dtype = \"uint8\"".to_owned()),
        (1e-6f64..1e6, prop::array::uniform3(-1e3f64..1e3), prop::array::uniform3(1e-6f64..1e3))
            .prop_map(|(scale, mean, std)| format!("scale = {scale:?}\nmean = {mean:?}\nstd = {std:?}")),
    ];
    let names = (
        prop::sample::select(vec!["nearest", "box", "bilinear", "bicubic", "lanczos3"]),
        prop::sample::select(vec!["rgb", "bgr"]),
        prop::sample::select(vec!["nchw", "nhwc"]),
    );
    let roi = prop::option::of((0u32..5000, 0u32..5000, 1u32..5000, 1u32..5000));
    (prop::array::uniform2(1u32..300), resize, statistics, names, roi).prop_map(|(size, resize, statistics, names, roi)| {
        let (filter, channels, layout) = names;
        let roi = roi.map_or(String::new(), |(x, y, w, h)| format!("roi = [{x}, {y}, {w}, {h}]\n"));
        format!(
            "{roi}size = {size:?}\n{resize}\n{statistics}\nfilter = \"{filter}\"\nchannels = \"{channels}\"\nlayout = \"{layout}\""
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn text_round_trips(text in recipes()) {
        let recipe = Recipe::from_toml(&text).unwrap();
        let canonical = recipe.to_toml();
        let again = Recipe::from_toml(&canonical).unwrap();
        prop_assert_eq!(again.to_toml(), canonical);
        prop_assert_eq!(again, recipe);
    }

    #[test]
    fn any_small_frame_runs_or_says_why(text in recipes(), width in 1u32..40, height in 1u32..40) {
        let recipe = Recipe::from_toml(&text).unwrap();
        let frame = Frame::new(width, height, vec![90; (width * height * 3) as usize]).unwrap();
        let mut preprocess = Preprocess::new(&recipe);
        let expected: usize = preprocess.shape().iter().product();
        match preprocess.run(&frame) {
            Ok(Pixels::F32(values)) => prop_assert_eq!(values.len(), expected),
            Ok(Pixels::U8(values)) => prop_assert_eq!(values.len(), expected),
            Err(error) => assert!(error.to_string().contains(';')),
        }
    }
}
