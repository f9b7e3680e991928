//! The forms a classifier may come in, and what is refused, on models of a few numbers.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod onnx;

use onnx::{floats, input, integers, model, node};
use shelfwatch::backbone::{Activations, Backbone, BackboneError, Layout, PixelType, Role, TapChoice, inspect};
use shelfwatch::preprocess::Pixels;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{NodeProto, TensorProto};

const IMAGE: [f32; 12] = [1.0, 2.0, 3.0, 4.0, 0.5, -1.5, 2.5, 0.5, -1.0, 0.0, 1.0, 2.0];
/// Means of the three 2×2 channels of `IMAGE`.
const MEANS: [f32; 3] = [2.5, 0.5, 0.5];
/// D×C.
const KERNEL: [f32; 6] = [1.0, -1.0, 2.0, 0.5, -4.0, 3.0];
const BIAS: [f32; 2] = [0.25, -0.75];
/// KERNELᵀ·MEANS + BIAS.
const LOGITS: [f32; 2] = [1.75, -1.5];

fn pool() -> Vec<NodeProto> {
    vec![node("GlobalAveragePool", &["image"], &["gap"], &[]), node("Flatten", &["gap"], &["flat"], &[("axis", &[1])])]
}

fn image() -> Vec<tract_onnx::pb::ValueInfoProto> {
    vec![input("image", DataType::Float, &[0, 3, 2, 2])]
}

fn weights() -> Vec<TensorProto> {
    vec![floats("kernel", &[3, 2], &KERNEL), floats("bias", &[2], &BIAS)]
}

fn classifier() -> Vec<u8> {
    let mut nodes = pool();
    nodes.push(node("MatMul", &["flat", "kernel"], &["product"], &[]));
    nodes.push(node("Add", &["bias", "product"], &["scores"], &[]));
    nodes.push(node("Softmax", &["scores"], &["probabilities"], &[("axis", &[1])]));
    model(image(), &["probabilities"], nodes, weights())
}

fn load(onnx: &[u8]) -> Backbone {
    Backbone::load(onnx, &TapChoice::default(), None).unwrap()
}

fn refusal(onnx: &[u8]) -> String {
    let text = Backbone::load(onnx, &TapChoice::default(), None).unwrap_err().to_string();
    assert!(text.contains("; "), "no remedy in {text:?}");
    text
}

fn near(got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len());
    for (g, w) in got.iter().zip(want) {
        assert!((g - w).abs() <= 1e-6 * w.abs().max(1.0), "{got:?} for {want:?}");
    }
}

#[test]
fn bounds_that_exclude_one_another_leave_the_nearer_end_of_the_later() {
    for (bounds, left) in [([[0.0, 1.0], [2.0, 3.0]], 2.0), ([[2.0, 3.0], [0.0, 1.0]], 1.0)] {
        let [[low, high], [later_low, later_high]] = bounds;
        let mut nodes = vec![
            node("Conv", &["image", "same"], &["seen"], &[]),
            node("Clip", &["seen", "low", "high"], &["once"], &[]),
            node("Clip", &["once", "later_low", "later_high"], &["twice"], &[]),
            node("GlobalAveragePool", &["twice"], &["gap"], &[]),
            node("Flatten", &["gap"], &["flat"], &[("axis", &[1])]),
        ];
        nodes.push(node("MatMul", &["flat", "kernel"], &["scores"], &[]));
        let mut constants = weights();
        constants.push(floats("same", &[3, 3, 1, 1], &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]));
        for (name, value) in [("low", low), ("high", high), ("later_low", later_low), ("later_high", later_high)] {
            constants.push(floats(name, &[], &[value]));
        }
        let mut backbone = load(&model(image(), &["scores"], nodes, constants));
        near(backbone.run(&Pixels::F32(IMAGE.to_vec())).unwrap().feature, &[left; 3]);
    }
}

#[test]
fn a_matrix_product_with_softmax() {
    let mut backbone = load(&classifier());
    let taps = backbone.taps().clone();
    assert_eq!((taps.feature.as_str(), taps.logits.as_deref(), taps.map.as_deref()), ("flat", Some("scores"), None));
    let head = backbone.head().unwrap().clone();
    assert_eq!((head.classes, head.dim), (2, 3));
    near(&head.weights, &[1.0, 2.0, -4.0, -1.0, 0.5, 3.0]);
    near(&head.bias, &BIAS);
    let Activations { feature, logits, map } = backbone.run(&Pixels::F32(IMAGE.to_vec())).unwrap();
    near(feature, &MEANS);
    near(logits, &LOGITS);
    assert_eq!(map, None);
}

#[test]
fn forks_agree_and_run_side_by_side() {
    let first = load(&classifier());
    let mut second = first.fork().unwrap();
    let thread = std::thread::spawn(move || {
        let mut first = first;
        first.run(&Pixels::F32(IMAGE.to_vec())).unwrap().feature.to_vec()
    });
    let here = second.run(&Pixels::F32(IMAGE.to_vec())).unwrap().feature.to_vec();
    assert_eq!(thread.join().unwrap(), here);
}

#[test]
fn channels_last_bytes() {
    let nodes = vec![
        node("Cast", &["bytes"], &["image"], &[("to", &[1])]),
        node("Relu", &["image"], &["map"], &[]),
        node("ReduceMean", &["map"], &["mean"], &[("axes", &[1, 2]), ("keepdims", &[0])]),
        node("MatMul", &["mean", "kernel"], &["product"], &[]),
        node("Add", &["product", "bias"], &["scores"], &[]),
    ];
    let onnx = model(vec![input("bytes", DataType::Uint8, &[0, 2, 2, 3])], &["scores"], nodes, weights());
    let mut backbone = load(&onnx);
    assert_eq!((backbone.input().dtype, backbone.input().layout), (PixelType::U8, Some(Layout::Nhwc)));
    assert_eq!(backbone.map_shape(), Some([3, 2, 2]));
    let bytes = vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    let got = backbone.run(&Pixels::U8(bytes)).unwrap();
    near(got.feature, &[5.5, 6.5, 7.5]);
    near(got.map.unwrap(), &[1.0, 4.0, 7.0, 10.0, 2.0, 5.0, 8.0, 11.0, 3.0, 6.0, 9.0, 12.0]);
    let wrong = backbone.run(&Pixels::F32(vec![0.0; 12])).unwrap_err();
    assert!(matches!(wrong, BackboneError::PixelType { .. }), "{wrong}");
    let short = backbone.run(&Pixels::U8(vec![0; 11])).unwrap_err();
    assert!(matches!(short, BackboneError::PixelCount { expected: 12, found: 11, .. }), "{short}");
}

#[test]
fn a_convolution_as_head() {
    let nodes = vec![
        node("Relu", &["image"], &["map"], &[]),
        node("GlobalAveragePool", &["map"], &["gap"], &[]),
        node("Conv", &["gap", "filters", "bias"], &["scores"], &[("kernel_shape", &[1, 1])]),
        node("Flatten", &["scores"], &["flat"], &[("axis", &[1])]),
    ];
    let filters = floats("filters", &[2, 3, 1, 1], &[1.0, 2.0, -4.0, -1.0, 0.5, 3.0]);
    let mut backbone = load(&model(image(), &["flat"], nodes, vec![filters, floats("bias", &[2], &BIAS)]));
    assert_eq!((backbone.dim(), backbone.classes(), backbone.map_shape()), (3, 2, Some([3, 2, 2])));
    let got = backbone.run(&Pixels::F32(IMAGE.to_vec())).unwrap();
    near(got.feature, &[2.5, 0.875, 0.75]);
    near(got.logits, &[1.5, -0.5625]);
    near(&backbone.head().unwrap().bias, &BIAS);
}

#[test]
fn what_the_engine_runs_gives_its_map_where_it_is_asked_for() {
    let mut nodes = vec![node("Tanh", &["image"], &["map"], &[])];
    nodes.push(node("GlobalAveragePool", &["map"], &["gap"], &[]));
    nodes.push(node("Flatten", &["gap"], &["flat"], &[("axis", &[1])]));
    let mut backbone = load(&model(image(), &["flat"], nodes, vec![]));
    assert!(backbone.profile(1).unwrap().iter().any(|node| !node.own));
    let pixels = Pixels::F32(IMAGE.to_vec());
    assert_eq!(backbone.run_without_map(&pixels).unwrap().map, None);
    near(backbone.run(&pixels).unwrap().map.unwrap(), &IMAGE.map(f32::tanh));
}

#[test]
fn an_embedding_has_no_logits() {
    let onnx = model(image(), &["flat"], pool(), vec![]);
    let mut backbone = load(&onnx);
    assert_eq!((backbone.taps().logits.as_deref(), backbone.classes(), backbone.head()), (None, 0, None));
    let got = backbone.run(&Pixels::F32(IMAGE.to_vec())).unwrap();
    near(got.feature, &MEANS);
    assert!(got.logits.is_empty());
    let choice = TapChoice { logits: Some("flat".into()), ..TapChoice::default() };
    let asked = Backbone::load(&onnx, &choice, None).unwrap_err();
    assert!(matches!(asked, BackboneError::NoClassifier(_)), "{asked}");
}

#[test]
fn a_batch_of_four_becomes_one() {
    let mut nodes = vec![node("GlobalAveragePool", &["image"], &["gap"], &[])];
    nodes.push(node("Reshape", &["gap", "to"], &["flat"], &[]));
    nodes.push(node("Gemm", &["flat", "kernel", "bias"], &["scores"], &[]));
    let mut constants = weights();
    constants.push(integers("to", DataType::Int64, &[2], &[4, 3]));
    let onnx = model(vec![input("image", DataType::Float, &[4, 3, 2, 2])], &["scores"], nodes, constants);
    let mut backbone = load(&onnx);
    near(backbone.run(&Pixels::F32(IMAGE.to_vec())).unwrap().logits, &LOGITS);
}

#[test]
fn open_sizes_come_from_the_caller() {
    let open = vec![input("image", DataType::Float, &[0, 3, 0, 0])];
    let mut nodes = pool();
    nodes.push(node("Gemm", &["flat", "kernel", "bias"], &["scores"], &[]));
    let onnx = model(open, &["scores"], nodes, weights());
    assert!(refusal(&onnx).contains("open dimensions"));
    let mut backbone = Backbone::load(&onnx, &TapChoice::default(), Some([1, 3, 2, 2])).unwrap();
    near(backbone.run(&Pixels::F32(IMAGE.to_vec())).unwrap().logits, &LOGITS);
    let wrong = Backbone::load(&onnx, &TapChoice::default(), Some([1, 2, 2, 3])).unwrap_err();
    assert!(matches!(wrong, BackboneError::InputShape { .. }), "{wrong}");
    let huge = Backbone::load(&onnx, &TapChoice::default(), Some([1, 3, 1 << 40, 1 << 40])).unwrap_err();
    assert!(matches!(huge, BackboneError::TooLarge { .. }), "{huge}");
}

#[test]
fn dynamic_quantisation_by_hand() {
    let mut nodes = pool();
    nodes.push(node("DynamicQuantizeLinear", &["flat"], &["q", "s", "z"], &[]));
    nodes.push(node("MatMulInteger", &["q", "w", "z", "wz"], &["sums"], &[]));
    nodes.push(node("Cast", &["sums"], &["real"], &[("to", &[1])]));
    nodes.push(node("Mul", &["s", "ws"], &["factor"], &[]));
    nodes.push(node("Mul", &["real", "factor"], &["product"], &[]));
    nodes.push(node("Add", &["product", "bias"], &["scores"], &[]));
    let constants = vec![
        integers("w", DataType::Uint8, &[3, 2], &[130, 126, 132, 129, 120, 134]),
        integers("wz", DataType::Uint8, &[], &[128]),
        floats("ws", &[], &[0.5]),
        floats("bias", &[2], &BIAS),
    ];
    let mut backbone = load(&model(image(), &["scores"], nodes, constants));
    assert_eq!(backbone.taps().feature, "flat");
    near(&backbone.head().unwrap().weights, &[1.0, 2.0, -4.0, -1.0, 0.5, 3.0]);
    let got = backbone.run(&Pixels::F32(IMAGE.to_vec())).unwrap();
    near(got.feature, &MEANS);
    // Range 0 to 2.5 in 255 steps: the means are the integers 255, 51 and 51.
    let step = 2.5 / 255.0 * 0.5;
    let sums = [255.0 * 2.0 + 51.0 * 4.0 - 51.0 * 8.0, -255.0 * 2.0 + 51.0 + 51.0 * 6.0];
    near(got.logits, &[sums[0] * step + BIAS[0], sums[1] * step + BIAS[1]]);
}

#[test]
fn chosen_taps_and_their_errors() {
    let onnx = classifier();
    let name = |feature: &str| TapChoice { feature: Some(feature.into()), ..TapChoice::default() };
    let unknown = Backbone::load(&onnx, &name("flatt"), None).unwrap_err().to_string();
    assert!(unknown.contains("use one of: flat"), "{unknown}");
    let output = Backbone::load(&onnx, &name("probabilities"), None).unwrap();
    assert_eq!((output.dim(), output.classes()), (2, 0));
    let map = TapChoice { map: Some("flat".into()), ..TapChoice::default() };
    assert!(matches!(Backbone::load(&onnx, &map, None).unwrap_err(), BackboneError::Role { role: "map", .. }));
}

#[test]
fn candidates_name_what_is_taken() {
    let listed = inspect(&classifier(), None).unwrap();
    let role = |tensor: &str| listed.tensors.iter().find(|c| c.tensor == tensor).map(|c| (c.role, c.chosen));
    assert_eq!(role("flat"), Some((Role::Feature, true)));
    assert_eq!(role("scores"), Some((Role::Logits, true)));
    assert_eq!(role("gap"), Some((Role::Feature, false)));
    assert!(serde_json::to_string(&listed).unwrap().contains("\"opset\":13"));
}

#[test]
fn what_is_no_network_is_refused() {
    assert!(refusal(b"not a model at all").contains("not an ONNX model"));
    assert!(refusal(&[]).contains("not an ONNX model"));
    let unknown = model(image(), &["y"], vec![node("Frobnicate", &["image"], &["y"], &[])], vec![]);
    assert!(refusal(&unknown).contains("Frobnicate"));
    assert!(refusal(&model(image(), &[], pool(), vec![])).contains("no output"));
    assert!(refusal(&model(image(), &["lost"], pool(), vec![])).contains("lost"));
    assert!(refusal(&model(vec![], &["flat"], pool(), vec![])).contains("image"));
    let dangling = model(image(), &["y"], vec![node("Relu", &["nowhere"], &["y"], &[])], vec![]);
    assert!(refusal(&dangling).contains("nowhere"));
    let text = vec![input("image", DataType::String, &[1, 3, 2, 2])];
    assert!(refusal(&model(text, &["flat"], pool(), vec![])).contains("float32 or uint8"));
    let flat = vec![input("image", DataType::Float, &[1, 12])];
    assert!(refusal(&model(flat, &["flat"], pool(), vec![])).contains("2 dimensions"));
    let huge = vec![input("image", DataType::Float, &[1, 3, 1 << 40, 1 << 40])];
    assert!(refusal(&model(huge, &["flat"], pool(), vec![])).contains("would hold"));
    let short = vec![floats("kernel", &[3, 2], &KERNEL[..4]), floats("bias", &[2], &BIAS)];
    let mut nodes = pool();
    nodes.push(node("Gemm", &["flat", "kernel", "bias"], &["scores"], &[]));
    refusal(&model(image(), &["scores"], nodes.clone(), short));
    let mismatch = vec![floats("kernel", &[2, 3], &KERNEL), floats("bias", &[2], &BIAS)];
    refusal(&model(image(), &["scores"], nodes, mismatch));
}

#[test]
fn values_that_are_not_numbers_are_refused() {
    let mut backbone = load(&classifier());
    let mut image = IMAGE.to_vec();
    image[0] = f32::NAN;
    let error = backbone.run(&Pixels::F32(image)).unwrap_err();
    assert!(matches!(error, BackboneError::NotFinite { role: "input", .. }), "{error}");
    near(backbone.run(&Pixels::F32(IMAGE.to_vec())).unwrap().logits, &LOGITS);
}

#[test]
fn damaged_files_never_panic() {
    let onnx = classifier();
    for end in 0..onnx.len() {
        let _ = Backbone::load(&onnx[..end], &TapChoice::default(), None);
    }
    for at in 0..onnx.len() {
        for mask in [0x01, 0x80, 0xff] {
            let mut damaged = onnx.clone();
            damaged[at] ^= mask;
            let _ = Backbone::load(&damaged, &TapChoice::default(), None);
            let _ = inspect(&damaged, None);
        }
    }
}
