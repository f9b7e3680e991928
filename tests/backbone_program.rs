//! Networks made ready for a shelf: the same numbers as from ONNX, and nothing that damaged bytes could break.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use shelfwatch::backbone::{self, Backbone, TapChoice};
use shelfwatch::preprocess::Pixels;

const FILES: [&[u8]; 2] = [include_bytes!("../models/parts.onnx"), include_bytes!("../models/parts_int8.onnx")];

/// Features, logits and map of an image of waves.
fn run(backbone: &mut Backbone) -> Vec<f32> {
    let count: usize = backbone.input_shape().iter().product();
    let waves = Pixels::F32((0..count).map(|i| (i as f32 * 0.037).sin()).collect());
    let found = backbone.run(&waves).unwrap();
    [found.feature, found.logits, found.map.unwrap_or_default()].concat()
}

#[test]
fn a_program_gives_the_numbers_of_its_network() {
    for onnx in FILES {
        let mut network = Backbone::load(onnx, &TapChoice::default(), None).unwrap();
        let bytes = backbone::program(onnx, &TapChoice::default(), None).unwrap().unwrap();
        let mut program = Backbone::from_program(&bytes).unwrap();
        assert_eq!(program.taps(), network.taps());
        assert_eq!((program.dim(), program.classes()), (network.dim(), network.classes()));
        assert_eq!((program.map_shape(), program.input()), (network.map_shape(), network.input()));
        assert_eq!(run(&mut program), run(&mut network));
        let mut fork = program.fork().unwrap();
        assert_eq!(run(&mut fork), run(&mut network));
        fork.set_threads(3).unwrap();
        assert_eq!(run(&mut fork), run(&mut network));
        assert!(program.head().is_none() && network.head().is_some());
    }
}

#[test]
fn the_map_is_there_where_it_is_asked_for_and_of_the_same_image() {
    for onnx in FILES {
        let mut network = Backbone::load(onnx, &TapChoice::default(), None).unwrap();
        let mut other = network.fork().unwrap();
        let count: usize = network.input_shape().iter().product();
        let mut before = vec![];
        for image in 1..6 {
            let waves = Pixels::F32((0..count).map(|i| (i as f32 * 0.01 * image as f32).sin()).collect());
            let whole = other.run(&waves).unwrap();
            let found = network.run_without_map(&waves).unwrap();
            assert_eq!((found.feature, found.logits, found.map), (whole.feature, whole.logits, None));
            assert_ne!(whole.map.unwrap(), before);
            before = whole.map.unwrap().to_vec();
            if image % 2 == 0 {
                assert_eq!(network.run(&waves).unwrap(), whole);
            }
        }
    }
}

#[test]
fn an_image_that_is_no_number_is_refused() {
    for onnx in FILES {
        let mut network = Backbone::load(onnx, &TapChoice::default(), None).unwrap();
        let count: usize = network.input_shape().iter().product();
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![0.25; count];
            values[count / 2] = odd;
            let message = network.run(&Pixels::F32(values)).unwrap_err().to_string();
            assert!(message.contains("NaN or infinity"), "{message}");
        }
        run(&mut network);
    }
}

#[test]
fn every_node_is_measured() {
    for onnx in FILES {
        let mut network = Backbone::load(onnx, &TapChoice::default(), None).unwrap();
        let nodes = network.profile(3).unwrap();
        assert!(nodes.len() > 5 && nodes.iter().all(|n| n.own && !n.name.is_empty()));
        assert!(nodes.iter().map(|n| n.products).sum::<u64>() > 1_000_000);
    }
}

#[test]
fn damaged_programs_are_refused_or_run() {
    for onnx in FILES {
        let bytes = backbone::program(onnx, &TapChoice::default(), None).unwrap().unwrap();
        let mut other = bytes.clone();
        other[0] += 1;
        assert!(!Backbone::reads_program(&other));
        let message = Backbone::from_program(&other).unwrap_err().to_string();
        assert!(message.contains("another version") && message.contains("fit the shelf again"), "{message}");
        for cut in (0..400).chain((400..bytes.len()).step_by(997)) {
            assert!(Backbone::from_program(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        // The head of the bytes holds every shape and number of a tensor; what follows are weights between steps.
        let mut chance = 1_u64;
        let mut accepted = 0;
        for at in (2..600).chain((600..bytes.len()).step_by(211)) {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut damaged = bytes.clone();
            damaged[at] ^= (chance >> 56) as u8 | 1;
            if let Ok(mut backbone) = Backbone::from_program(&damaged) {
                accepted += 1;
                let count: usize = backbone.input_shape().iter().product();
                // Its numbers may be others, or none at all; what proves a shelf are its golden images.
                let _ = backbone.run(&Pixels::F32(vec![0.25; count]));
            }
        }
        assert!(accepted > 0, "a changed weight is still a program");
    }
}
