//! `shelfwatch quantize`: what it writes is standard and runs, how far features move, and what it refuses.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;
mod drawn;
mod onnx;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use binary::{Answer, argument, shelfwatch};
use prost::Message;
use serde_json::Value;
use shelfwatch::backbone::quantise::FloatNetwork;
use shelfwatch::backbone::{Backbone, BackboneError, TapChoice, inspect};
use shelfwatch::preprocess::Pixels;
use shelfwatch::seed::Seed;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto};

fn bundled() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/parts.onnx")
}

fn quantize(network: &Path, images: &Path, output: &Path, more: &[&str]) -> Answer {
    let recipe = drawn::recipe();
    let arguments = ["quantize", argument(network), "--images", argument(images), "--preprocess", argument(&recipe)];
    shelfwatch(arguments.into_iter().chain(["-o", argument(output)]).chain(more.iter().copied()))
}

fn graph(onnx: &[u8]) -> GraphProto {
    ModelProto::decode(onnx).unwrap().graph.unwrap()
}

/// Pixels in −1 to 1, of that many values.
fn noise(seed: u64, count: usize) -> Pixels {
    let mut seed = Seed::new(seed);
    Pixels::F32((0..count).map(|_| seed.between(-1.0, 1.0)).collect())
}

fn feature(onnx: &[u8], shape: [usize; 4], pixels: &Pixels) -> Vec<f32> {
    let mut backbone = Backbone::load(onnx, &TapChoice::default(), Some(shape)).unwrap();
    backbone.run(pixels).unwrap().feature.to_vec()
}

/// ‖a − b‖ / ‖a‖.
fn apart(a: &[f32], b: &[f32]) -> f64 {
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    assert_eq!(a.len(), b.len());
    let difference = square(&mut a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    (difference / square(&mut a.iter().map(|a| f64::from(*a)))).sqrt()
}

#[test]
fn the_bundled_classifier_becomes_a_standard_file_close_to_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (images, output) = (folder.path().join("good"), folder.path().join("int8.onnx"));
    drawn::good(&images, 30, 21);
    let answer = quantize(&bundled(), &images, &output, &["--json"]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    let report = &serde_json::from_str::<Value>(&answer.out).unwrap()["quantisation"];
    println!("{report:#}");

    let onnx = std::fs::read(&output).unwrap();
    let written = graph(&onnx);
    let ops: BTreeSet<&str> = written.node.iter().map(|n| n.op_type.as_str()).collect();
    assert!(written.node.iter().all(|n| n.domain.is_empty()));
    // Every Relu lies in a saturation; pooling and head read reals.
    let expected = ["Add", "Conv", "DequantizeLinear", "Gemm", "QuantizeLinear", "ReduceMean"];
    assert_eq!(ops, BTreeSet::from(expected));
    let model = ModelProto::decode(&onnx[..]).unwrap();
    assert!(model.ir_version >= 7 && model.opset_import.len() == 1 && model.opset_import[0].version >= 13);
    let made = |name: &str| written.node.iter().find(|n| n.output.iter().any(|o| o == name));
    let constant = |name: &str| written.initializer.iter().find(|t| t.name == name);
    for layer in written.node.iter().filter(|n| n.op_type == "Conv") {
        let kinds = [DataType::Int8, DataType::Int8, DataType::Int32];
        for (input, kind) in layer.input.iter().zip(kinds) {
            let real = made(input).unwrap();
            assert_eq!(real.op_type, "DequantizeLinear", "{input}");
            if let Some(integers) = constant(&real.input[0]) {
                assert_eq!(integers.data_type, kind as i32, "{input}");
                assert_eq!(constant(&real.input[1]).unwrap().dims, [integers.dims[0]], "one scale a channel");
                let zeros = real.input.get(2).map(|zero| &constant(zero).unwrap().raw_data);
                assert!(zeros.is_none_or(|z| z.iter().all(|&b| b == 0)), "{input} is symmetric");
            }
        }
    }
    let head = written.node.iter().find(|n| n.op_type == "Gemm").unwrap();
    assert!(constant(&head.input[1]).is_some_and(|w| w.data_type == DataType::Float as i32));
    assert!(made(&head.input[0]).is_some_and(|m| m.op_type == "ReduceMean"));

    let (before, after) = (inspect(&std::fs::read(bundled()).unwrap(), None).unwrap(), inspect(&onnx, None).unwrap());
    assert!(after.quantised && !before.quantised);
    assert_eq!((&after.taps.feature, &after.taps.logits), (&before.taps.feature, &before.taps.logits));
    assert!(after.taps.map.is_some(), "heat maps stay");

    // Measured: the same class on all of 77 held images, 1.3 % of the length, 1.9 % of the spread, least cosine 0.9994.
    let held = &report["held"];
    let figure = |name: &str| held[name].as_f64().unwrap();
    assert!(figure("images") > 50.0 && figure("agreeing") >= figure("images") - 1.0, "{held}");
    assert!(figure("relative") < 0.02 && figure("scatter") < 0.03 && figure("least_cosine") > 0.998, "{held}");
    assert_eq!(
        (&report["quantised"], &report["left"]),
        (&31.into(), &serde_json::json!([["ReduceMean", 1], ["Gemm", 1]]))
    );
    assert!(onnx.len() * 2 < std::fs::metadata(bundled()).unwrap().len() as usize);

    let again = folder.path().join("again.onnx");
    assert_eq!(quantize(&bundled(), &images, &again, &["--threads", "1"]).code, 0);
    assert!(std::fs::read(&again).unwrap() == onnx, "the same inputs give the same bytes");
}

#[test]
fn a_shelf_is_fitted_on_the_quantised_network() {
    let folder = tempfile::tempdir().unwrap();
    let (images, shelf) = (folder.path().join("good"), folder.path().join("line.shelf"));
    drawn::good(&images, 24, 22);
    let (network, recipe) = (bundled(), drawn::recipe());
    let answer = shelfwatch([
        "fit",
        "--backbone",
        argument(&network),
        "--preprocess",
        argument(&recipe),
        "--images",
        argument(&images),
        "--quantize",
        "--alpha-reject",
        "auto",
        "--alpha-review",
        "auto",
        "--json",
        "-o",
        argument(&shelf),
    ]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    let found: Value = serde_json::from_str(&answer.out).unwrap();
    let (fit, report) = (&found["fit"], &found["quantisation"]);
    let count = |value: &Value| value.as_u64().unwrap();
    // Ranges and report come from images that were fitted on; those that calibrate the thresholds are not among them.
    assert_eq!(count(&report["images"]) + count(&report["held"]["images"]), count(&fit["fit_images"]));
    assert!(count(&fit["fit_images"]) + count(&fit["calibration_images"]) == 24 * 8);
    let bytes = std::fs::read(&shelf).unwrap();
    let inside = shelfwatch_core::Shelf::parse(&bytes).unwrap();
    assert!(inspect(inside.backbone().unwrap(), None).unwrap().quantised);
}

#[test]
fn what_cannot_be_quantised_is_refused_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let (images, output) = (folder.path().join("good"), folder.path().join("out.onnx"));
    drawn::good(&images, 2, 23);
    let refused = |answer: &Answer, words: &[&str]| {
        assert_eq!(answer.code, 2, "{}", answer.err);
        assert!(words.iter().all(|word| answer.err.contains(word)), "{}", answer.err);
        assert!(!output.exists());
    };
    let int8 = drawn::backbone();
    refused(&quantize(&int8, &images, &output, &[]), &["quantised already; give the float ONNX"]);
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    refused(&quantize(&bundled(), &empty, &output, &[]), &["no image in", "; give a folder"]);
    std::fs::write(empty.join("1.png"), b"no picture").unwrap();
    refused(&quantize(&bundled(), &empty, &output, &[]), &["1 images are too few", "; give at least 3"]);
    for name in ["2.png", "3.png", "4.png"] {
        std::fs::write(empty.join(name), b"no picture").unwrap();
    }
    refused(&quantize(&bundled(), &empty, &output, &[]), &["no image is left", "1.png"]);
    refused(&quantize(&bundled(), &empty, &output, &["--max-bad", "0"]), &["more than --max-bad 0"]);
    let text = folder.path().join("model.onnx");
    std::fs::write(&text, b"no network").unwrap();
    refused(&quantize(&text, &images, &output, &[]), &["model.onnx", "not an ONNX model"]);
    let network = folder.path().join("same.onnx");
    std::fs::copy(bundled(), &network).unwrap();
    assert!(quantize(&network, &images, &network, &[]).err.contains("is the network itself; give another name"));

    // One bad file among good ones is named, counted and left out.
    std::fs::write(images.join("nut").join("000.png"), b"no picture").unwrap();
    let answer = quantize(&bundled(), &images, &output, &[]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert_eq!(answer.err.matches("nut/000.png").count(), 1, "{}", answer.err);
    assert!(answer.out.contains("1 files could not be used"), "{}", answer.out);
}

#[test]
fn equalising_leaves_the_float_function_as_it_was() {
    let onnx = std::fs::read(bundled()).unwrap();
    let shape = [1, 3, 96, 96];
    let network = FloatNetwork::read(&onnx, &TapChoice::default(), shape).unwrap();
    let (equalised, places) = network.equalised().unwrap().unwrap();
    assert!(places >= 5, "{places}");
    assert_ne!(equalised.onnx(), network.onnx());
    for seed in 0..4 {
        let pixels = noise(seed, 3 * 96 * 96);
        let gap = apart(&feature(&onnx, shape, &pixels), &feature(&equalised.onnx(), shape, &pixels));
        // Measured: 0, since factors are powers of two.
        assert!(gap < 1e-4, "{gap}");
    }
}

/// Image 1×2×6×6, two convolutions with what is written between them, pooled into a feature of 4, three classes.
fn tiny(between: Vec<tract_onnx::pb::NodeProto>, opset: i64, more: Vec<tract_onnx::pb::TensorProto>) -> Vec<u8> {
    let mut seed = Seed::new(17);
    let mut random = |name: &str, dims: &[i64]| {
        let values: Vec<f32> = (0..dims.iter().product()).map(|_| seed.between(-1.0, 1.0)).collect();
        onnx::floats(name, dims, &values)
    };
    let mut weights = vec![random("w1", &[4, 2, 3, 3]), random("b1", &[4]), random("w2", &[4, 4, 1, 1])];
    weights.extend([random("w3", &[3, 4]), random("b3", &[3])]);
    weights.extend(more);
    let mut nodes = vec![onnx::node("Conv", &["x", "w1", "b1"], &["a"], &[("pads", &[1, 1, 1, 1])])];
    nodes.extend(between);
    nodes.push(onnx::node("Conv", &["z", "w2"], &["c"], &[]));
    nodes.push(onnx::node("GlobalAveragePool", &["c"], &["pooled"], &[]));
    nodes.push(onnx::node("Flatten", &["pooled"], &["f"], &[]));
    nodes.push(onnx::node("Gemm", &["f", "w3", "b3"], &["y"], &[("transB", &[1])]));
    let bytes = onnx::model(vec![onnx::input("x", DataType::Float, &[0, 2, 6, 6])], &["y"], nodes, weights);
    let mut model = ModelProto::decode(&bytes[..]).unwrap();
    model.opset_import[0].version = opset;
    model.encode_to_vec()
}

const TINY: [usize; 4] = [1, 2, 6, 6];

/// The feature before and after, with ranges from the very images that are compared.
fn check(name: &str, float: &[u8], most: f64) -> GraphProto {
    let network = FloatNetwork::read(float, &TapChoice::default(), TINY).unwrap_or_else(|e| panic!("{name}: {e}"));
    let images: Vec<Pixels> = (0..20).map(|seed| noise(seed, 72)).collect();
    let mut ends = vec![(0.0_f32, 0.0_f32); network.tensors().len()];
    let mut probe = network.observer().unwrap();
    for pixels in &images {
        let widen = |at: usize, values: &[f32]| {
            let (low, high): &mut (f32, f32) = &mut ends[at];
            for value in values {
                (*low, *high) = (low.min(*value), high.max(*value));
            }
        };
        probe.run(pixels, widen).unwrap();
    }
    let range = |&(low, high): &(f32, f32)| shelfwatch::backbone::quantise::Range { low, high };
    let ranges: Vec<_> = ends.iter().map(range).collect();
    let made = network.quantise(&ranges, None).unwrap();
    let gaps = images.iter().map(|p| apart(&feature(float, TINY, p), &feature(&made.onnx, TINY, p)));
    let largest = gaps.fold(0.0, f64::max);
    println!("{name}: moves by {largest:.4}, {} nodes in int8, left {:?}", made.quantised, made.left);
    assert!(largest < most, "{name}: {largest}");
    graph(&made.onnx)
}

#[test]
fn graphs_of_other_kinds_keep_their_features() {
    let node = |op: &str, inputs: &[&str], output: &str| onnx::node(op, inputs, &[output], &[]);
    let one = |name: &str, value: f32| onnx::floats(name, &[1], &[value]);
    let count = |graph: &GraphProto, op: &str| graph.node.iter().filter(|n| n.op_type == op).count();

    let relu = check("relu", &tiny(vec![node("Relu", &["a"], "z")], 13, vec![]), 0.03);
    assert_eq!((count(&relu, "Relu"), count(&relu, "QuantizeLinear")), (0, 3));
    let nodes = vec![node("Clip", &["a", "lo", "hi"], "z")];
    let clip = check("clip", &tiny(nodes, 13, vec![one("lo", 0.0), one("hi", 1.5)]), 0.03);
    assert_eq!(count(&clip, "Clip"), 0);
    // Saturation cannot stand for a lower bound above zero.
    let nodes = vec![node("Clip", &["a", "lo", "hi"], "z")];
    let clip = check("clip above zero", &tiny(nodes, 13, vec![one("lo", 0.5), one("hi", 1.5)]), 0.03);
    assert_eq!(count(&clip, "Clip"), 1);

    let parts = [onnx::floats("g", &[4], &[0.5, 2.0, 1.0, -1.0]), onnx::floats("b", &[4], &[0.1, -0.2, 0.0, 1.0])];
    let stats = [onnx::floats("m", &[4], &[0.3, 0.0, -1.0, 0.5]), onnx::floats("v", &[4], &[1.0, 0.25, 4.0, 0.5])];
    let nodes = vec![node("BatchNormalization", &["a", "g", "b", "m", "v"], "n"), node("Relu", &["n"], "z")];
    let normal = check("normalised", &tiny(nodes, 13, parts.into_iter().chain(stats).collect()), 0.03);
    assert_eq!(count(&normal, "BatchNormalization"), 0);

    let nodes = vec![
        node("HardSwish", &["a"], "h"),
        node("Identity", &["h"], "i"),
        onnx::node("MaxPool", &["i"], &["p"], &[("kernel_shape", &[3, 3]), ("pads", &[1, 1, 1, 1])]),
        onnx::node("Concat", &["p", "i"], &["j"], &[("axis", &[1])]),
        node("Conv", &["j", "w4"], "k"),
        node("Sigmoid", &["k"], "s"),
        node("Mul", &["k", "s"], "t"),
        node("Mul", &["t", "half"], "u"),
        node("Add", &["u", "i"], "z"),
    ];
    let values: Vec<f32> = (0..32_u8).map(|i| f32::from(i % 7) / 7.0 - 0.5).collect();
    let more = || vec![onnx::floats("w4", &[4, 8, 1, 1], &values), one("half", 0.5)];
    let mixed = check("mixed", &tiny(nodes, 14, more()), 0.05);
    assert_eq!((count(&mixed, "Identity"), count(&mixed, "MaxPool"), count(&mixed, "Concat")), (0, 1, 1));

    // A gate as mobile networks have it: pooled, weighted, multiplied.
    let nodes = vec![
        node("GlobalAveragePool", &["a"], "g1"),
        node("Conv", &["g1", "w4"], "g2"),
        node("HardSigmoid", &["g2"], "g3"),
        node("Mul", &["a", "g3"], "z"),
    ];
    check("gated", &tiny(nodes, 13, vec![onnx::floats("w4", &[4, 4, 1, 1], &values[..16])]), 0.05);
}

#[test]
fn old_opsets_are_raised_or_refused() {
    let mut clip = onnx::node("Clip", &["a"], &["z"], &[]);
    for (name, f) in [("min", 0.0), ("max", 1.5)] {
        clip.attribute.push(tract_onnx::pb::AttributeProto {
            name: name.into(),
            r#type: tract_onnx::pb::attribute_proto::AttributeType::Float as i32,
            f,
            ..Default::default()
        });
    }
    check("opset 9", &tiny(vec![clip], 9, vec![]), 0.03);
    let mut model = ModelProto::decode(&tiny(vec![onnx::node("Relu", &["a"], &["z"], &[])], 6, vec![])[..]).unwrap();
    let refused = |model: &ModelProto| {
        FloatNetwork::read(&model.encode_to_vec(), &TapChoice::default(), TINY).err().unwrap().to_string()
    };
    assert!(refused(&model).contains("opset 6 cannot be raised to opset 13; export"), "{}", refused(&model));
    // Nothing but a head.
    let graph = model.graph.as_mut().unwrap();
    graph.node.retain(|n| matches!(n.op_type.as_str(), "GlobalAveragePool" | "Flatten" | "Gemm"));
    graph.node[0].input[0] = "x".into();
    graph.initializer.retain(|t| t.name == "b3");
    graph.initializer.push(onnx::floats("w3", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    model.opset_import[0].version = 13;
    assert!(refused(&model).contains("nothing in the network can be quantised"), "{}", refused(&model));
    let error = FloatNetwork::read(b"", &TapChoice::default(), TINY).err().unwrap();
    assert!(matches!(error, shelfwatch::backbone::quantise::Unquantisable::Backbone(BackboneError::NotOnnx(_))));
}
