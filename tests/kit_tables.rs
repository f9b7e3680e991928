//! `fit` and `eval` on the kit's image files, against the kit's reference tables, for every score that the tables have:
//! AUROC and FPR95 within 0.001 for float networks, with the projection in f32. Compact storage may move a score by 1e-3,
//! which lets images that lie closer than that change places: one image of 245 is 0.004 in FPR95.
//!
//! Quantised networks have a tolerance of their own. Where a sum of floats falls next to a rounding step, the order of
//! addition decides, and later layers spread it: two runs of ONNX Runtime on the kit's own mobilenetv2 QDQ file, graph
//! optimisations off and on, differ by up to 22 quantisation steps in a feature, 0.0018 in AUROC and 0.027 in FPR95.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;
#[path = "kit/table.rs"]
mod table;

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Our name of a score, and the tables'.
const NAMES: [(&str, &str); 10] = [
    ("neco", "neco_noscale_centred_v90"),
    ("neco-std", "neco_v90"),
    ("neco-std-ml", "neco_v90_xmaxlogit"),
    ("msp", "msp"),
    ("maxlogit", "maxlogit"),
    ("energy", "energy"),
    ("mahalanobis", "mahalanobis"),
    ("residual", "residual"),
    ("vim", "vim"),
    ("knn", "knn10"),
];

fn shelfwatch(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_shelfwatch")).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Largest differences of AUROC and FPR95.
type Tolerance = [f64; 2];

const FLOAT: Tolerance = [0.001, 0.001];
const QUANTISED: Tolerance = [0.003, 0.04];

fn check(set: &str, model: &str, strangers: &[&str], tolerance: Tolerance) {
    let Some(kit) = kit::kit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let of = |name: &str| kit.join(set).join(name).to_str().unwrap().to_owned();
    std::fs::write(folder.path().join("recipe.toml"), kit::recipe(set)).unwrap();
    let (backbone, images, calibrate) = (of(&format!("models/{model}.onnx")), of("images/fit"), of("images/id_val"));
    let (recipe, shelf) = (path("recipe.toml"), path("line.shelf"));
    let fit = |precision: &str| {
        let (code, fitted, errors) = shelfwatch(&[
            "fit",
            "--backbone",
            &backbone,
            "--images",
            &images,
            "--calibrate",
            &calibrate,
            "--preprocess",
            &recipe,
            "--alpha-reject",
            "auto",
            "--alpha-review",
            "0.05",
            "--precision",
            precision,
            "-o",
            &shelf,
            "--json",
        ]);
        assert_eq!(code, 0, "{errors}");
        serde_json::from_str::<Value>(&fitted).unwrap()
    };
    if tolerance == FLOAT {
        let movement = fit("auto")["fit"]["movement"].as_f64().unwrap();
        let (_, inspected, errors) = shelfwatch(&["inspect", &shelf, "--json"]);
        let inspected: Value = serde_json::from_str(&inspected).unwrap_or_else(|_| panic!("{errors}"));
        let bytes = inspected["projection_bytes"].as_u64().unwrap();
        println!("{set}/{model}: compact projection of {bytes} bytes, movement {movement:.1e}");
        assert!(movement <= 1e-3, "compact storage moves a calibration score by {movement}");
        assert!(bytes <= 160_000, "the projection takes {bytes} bytes");
    }

    fit("f32");
    let id = of("images/id_test");
    let sets: Vec<String> = strangers.iter().map(|name| format!("{name}={}", of(&format!("images/{name}")))).collect();
    let mut eval = vec!["eval", "--shelf", &shelf, "--id", &id, "--json"];
    for set in &sets {
        eval.extend(["--ood", set]);
    }
    let (code, evaluation, errors) = shelfwatch(&eval);
    assert!(code == 0 || code == 1, "{errors}");
    let evaluation: Value = serde_json::from_str(&evaluation).unwrap();
    let table = table::table(&Path::new(&of("reference")).join(model).join("metrics.csv"));
    let (mut compared, mut largest) = (0, [0.0_f64; 2]);
    let mut wrong = Vec::new();
    for found in evaluation["ood"].as_array().unwrap() {
        for figures in found["scores"].as_array().unwrap() {
            let name = figures["score"].as_str().unwrap();
            let Some((_, reference)) = NAMES.iter().find(|(own, _)| *own == name) else { continue };
            let row = table.iter().find(|row| row["score"] == *reference && found["name"] == row["ood_set"]).unwrap();
            for (at, figure) in ["auroc", "fpr95"].into_iter().enumerate() {
                let expected: f64 = row[figure].parse().unwrap();
                let gap = (figures[figure].as_f64().unwrap() - expected).abs();
                largest[at] = largest[at].max(gap);
                compared += 1;
                if gap > tolerance[at] {
                    wrong.push(format!("{} {name} {figure}: {} for {expected}", found["name"], figures[figure]));
                }
            }
        }
    }
    println!("{set}/{model}: {compared} figures, largest differences {largest:.6?}");
    assert_eq!(compared, 2 * NAMES.len() * strangers.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const STEEL: [&str; 4] = ["ood_camera_faults", "ood_magnetic_tile", "ood_textures", "ood_unseen_defects"];
const CIFAR10: [&str; 2] = ["ood_imagenet_objects", "ood_textures"];

#[test]
fn steel_float() {
    check("steel", "mobilenetv2_100", &STEEL, FLOAT);
}

#[test]
fn steel_qdq() {
    check("steel", "mobilenetv2_100_int8_qdq", &STEEL, QUANTISED);
}

#[test]
fn steel_qoperator() {
    check("steel", "mobilenetv2_100_int8_qop", &STEEL, QUANTISED);
}

#[test]
fn cifar10_float() {
    check("cifar10", "resnet20", &CIFAR10, FLOAT);
    check("cifar10", "resnet20_jpeg", &CIFAR10, FLOAT);
}

#[test]
fn cifar10_qdq() {
    check("cifar10", "resnet20_int8_qdq", &CIFAR10, QUANTISED);
}

#[test]
fn cifar10_qoperator() {
    check("cifar10", "resnet20_int8_qop", &CIFAR10, QUANTISED);
}
