//! The method's scores, metrics and collapse figures against the kit's reference tables.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod kit;
#[path = "kit/npy.rs"]
mod npy;
#[path = "kit/reference.rs"]
mod reference;
#[path = "kit/table.rs"]
mod table;

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use kit::kit;
use reference::{MODELS, Reference, npz};
use shelfwatch::method::{
    Collapse, Dimension, Options, Parameters, Scores, auroc, average_precision, detection, fpr95, nc5,
};
use shelfwatch_core::ScoreKind;
use table::table;

/// A column of the reference tables and how it is computed here.
struct Column {
    name: &'static str,
    kind: ScoreKind,
    neco: Dimension,
    neco_std: Dimension,
}

/// Every column of the tables that names a score offered here.
fn columns(summary: &serde_json::Value) -> Vec<Column> {
    let dims = &summary["d"];
    let count = |name: &str| Dimension::Count(dims[name].as_u64().unwrap() as usize);
    let share = Dimension::Share;
    let classes = Dimension::Count(summary["classes_fit"].as_array().unwrap().len());
    let usual = share(0.9);
    let plain = |name, kind| Column { name, kind, neco: usual, neco_std: usual };
    let scaled = |name, kind, neco_std| Column { name, kind, neco: usual, neco_std };
    vec![
        plain("neco_noscale_centred_v90", ScoreKind::Neco),
        Column { name: "neco_noscale_centred_C", kind: ScoreKind::Neco, neco: classes, neco_std: usual },
        scaled("neco_C-1", ScoreKind::NecoStd, count("C-1")),
        scaled("neco_C", ScoreKind::NecoStd, classes),
        scaled("neco_2C", ScoreKind::NecoStd, count("2C")),
        scaled("neco_v80", ScoreKind::NecoStd, share(0.8)),
        scaled("neco_v90", ScoreKind::NecoStd, share(0.9)),
        scaled("neco_v95", ScoreKind::NecoStd, share(0.95)),
        scaled("neco_v99", ScoreKind::NecoStd, share(0.99)),
        scaled("neco_C_xmaxlogit", ScoreKind::NecoStdMl, classes),
        scaled("neco_v90_xmaxlogit", ScoreKind::NecoStdMl, share(0.9)),
        plain("mahalanobis", ScoreKind::Mahalanobis),
        plain("residual", ScoreKind::Residual),
        plain("vim", ScoreKind::Vim),
        plain("knn10", ScoreKind::Knn),
        plain("msp", ScoreKind::Msp),
        plain("maxlogit", ScoreKind::MaxLogit),
        plain("energy", ScoreKind::Energy),
    ]
}

impl Column {
    /// The column's score of every image of the kit. `usual` holds those of the fitted parameters.
    fn values(&self, reference: &Reference, fitted: &Parameters, usual: &[Scores]) -> Vec<f64> {
        let neco = matches!(self.kind, ScoreKind::Neco | ScoreKind::NecoStd | ScoreKind::NecoStdMl);
        let value = |scores: Scores| scores.get(self.kind).unwrap();
        if !neco {
            return usual.iter().copied().map(value).collect();
        }
        let parameters = dimensioned(fitted, self);
        (0..reference.index.len()).map(|row| value(reference.scores(&parameters, row))).collect()
    }
}

/// A model of the kit, fitted with the defaults, and its images' scores.
struct Fitted {
    reference: Reference,
    parameters: Parameters,
    usual: Vec<Scores>,
    summary: serde_json::Value,
}

/// Every model, fitted once for all tests. Nothing without a kit.
fn fitted_models() -> impl Iterator<Item = (&'static str, &'static Fitted)> {
    static FITTED: [OnceLock<Fitted>; MODELS.len()] = [const { OnceLock::new() }; MODELS.len()];
    let models = kit().map(|kit| MODELS.iter().zip(&FITTED).map(move |(model, cell)| (*model, cell, kit.clone())));
    models.into_iter().flatten().map(|(model, cell, kit)| {
        let fitted = cell.get_or_init(|| {
            let reference = Reference::load(&kit, model);
            let parameters = reference.fit(&Options::default()).unwrap();
            let usual = (0..reference.index.len()).map(|row| reference.scores(&parameters, row)).collect();
            Fitted { summary: summary(&reference), reference, parameters, usual }
        });
        (model, fitted)
    })
}

/// The parameters with the dimensions of a column, and without the other scores' parts.
fn dimensioned(fitted: &Parameters, column: &Column) -> Parameters {
    let mut parameters =
        Parameters { vim: None, mahalanobis: None, mahalanobis_pp: None, bank: None, head: None, ..fitted.clone() };
    parameters.neco = parameters.neco.with_dimension(column.neco).unwrap();
    parameters.neco_std = parameters.neco_std.with_dimension(column.neco_std).unwrap();
    parameters
}

fn summary(reference: &Reference) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(reference.folder.join("summary.json")).unwrap()).unwrap()
}

fn number(row: &HashMap<String, String>, column: &str) -> f64 {
    row[column].parse().unwrap_or_else(|_| panic!("{column}: {}", row[column]))
}

#[test]
fn scores_agree_with_the_reference() {
    let mut worst: BTreeMap<&str, f64> = BTreeMap::new();
    for (model, Fitted { reference, parameters: fitted, usual, summary }) in fitted_models() {
        assert_eq!(fitted.neco_std.dim() as u64, summary["d"]["v90"], "{model}");
        assert_eq!(fitted.neco.dim() as u64, summary["d_noscale"]["v90"], "{model}");
        let vim = fitted.vim.as_ref().unwrap();
        assert_eq!(vim.dim() as u64, summary["vim_dim"], "{model}");
        let alpha = summary["vim_alpha"].as_f64().unwrap();
        assert!((vim.alpha.unwrap() / alpha - 1.0).abs() < 1e-6, "{model}: {:?} {alpha}", vim.alpha);
        let parity = table(&reference.folder.join("parity500.csv"));
        for column in columns(summary) {
            let values = column.values(reference, fitted, usual);
            let mut most = 0.0_f64;
            for row in &parity {
                let expected = number(row, column.name);
                let found = values[row["row"].parse::<usize>().unwrap()];
                most = most.max((found - expected).abs() / expected.abs().max(1e-3));
            }
            println!("{model} {}: {most:.1e}", column.name);
            let entry = worst.entry(column.name).or_default();
            *entry = entry.max(most);
        }
    }
    for (name, most) in &worst {
        println!("relative difference at most {most:.1e}: {name}");
    }
    assert!(worst.values().all(|most| *most < 1e-6), "{worst:?}");
}

#[test]
fn metrics_agree_with_the_reference() {
    for (model, Fitted { reference, parameters: fitted, usual, summary }) in fitted_models() {
        let metrics = table(&reference.folder.join("metrics.csv"));
        let (mut seen, mut off_auroc, mut off_fpr) = (0, 0.0_f64, 0.0_f64);
        for column in columns(summary) {
            let values = column.values(reference, fitted, usual);
            let of = |split: &str| reference.rows(split).into_iter().map(|row| values[row]).collect::<Vec<f64>>();
            let id = of("id_test");
            let mut validation = of("id_val");
            validation.sort_by(f64::total_cmp);
            let threshold = validation[validation.len() / 20];
            for row in metrics.iter().filter(|row| row["score"] == column.name) {
                let ood = of(&row["ood_set"]);
                off_auroc = off_auroc.max((auroc(&id, &ood) - number(row, "auroc")).abs());
                off_fpr = off_fpr.max((fpr95(&id, &ood) - number(row, "fpr95")).abs());
                assert!((threshold / number(row, "id_val_threshold_5pct") - 1.0).abs() < 1e-5, "{model} {row:?}");
                assert!((detection(&id, threshold) - number(row, "id_test_rejected")).abs() < 1e-3, "{model} {row:?}");
                assert!((detection(&ood, threshold) - number(row, "ood_rejected")).abs() < 1e-3, "{model} {row:?}");
                let precision = average_precision(&id, &ood);
                assert!(precision > 0.0 && precision <= 1.0);
                seen += 1;
            }
        }
        println!("{model}: {seen} pairs, AUROC off by at most {off_auroc:.1e}, FPR95 by {off_fpr:.1e}");
        // The tables hold six decimals.
        assert!(seen > 30 && off_auroc < 1.1e-6 && off_fpr < 1e-3);
    }
}

#[test]
fn collapse_agrees_with_the_reference() {
    for (model, Fitted { reference, summary, .. }) in fitted_models() {
        for (split, key) in [("fit", "nc_fit"), ("id_test", "nc_test")] {
            let statistics = reference.statistics(&reference.rows(split));
            let collapse = Collapse::measure(&statistics).unwrap();
            let expected = &summary[key];
            let figures =
                [("nc1", collapse.nc1), ("nc2_equinorm_cv", collapse.equinorm), ("nc2_maxangle", collapse.equiangular)];
            for (name, found) in figures {
                let (found, expected) = (found.unwrap(), expected[name].as_f64().unwrap());
                println!("{model} {split} {name}: {found} {expected}");
                assert!((found / expected - 1.0).abs() < 1e-5, "{model} {split} {name}: {found}, reference {expected}");
            }
            if split == "fit" {
                println!("{model}: {} (effective rank {:.1})", collapse.plain(), collapse.effective_rank);
                let constant = summary["constant_features_on_fit"].as_u64().unwrap();
                assert_eq!(collapse.dead_channels.len() as u64, constant);
                let strangers = reference.rows("ood_textures");
                let off = nc5(&statistics.class_means(), &reference.statistics(&strangers).mean());
                assert!(off > 0.0 && off < 1.0);
            }
        }
    }
}

/// The `QOperator` references hold features of a few images only, so nothing can be fitted on them; their stored
/// components give the scores of up to 32 dimensions.
#[test]
fn stored_components_explain_the_qoperator_scores() {
    let Some(kit) = kit() else { return };
    for model in ["cifar10/reference/resnet20_int8_qop", "steel/reference/mobilenetv2_100_int8_qop"] {
        let reference = Reference::load(&kit, model);
        let arrays = reference.folder.join("neco_params.npz");
        let (_, mean) = npz::<f64>(&arrays, "noscale_mean");
        let (_, components) = npz::<f64>(&arrays, "noscale_components");
        let classes = summary(&reference)["classes_fit"].as_array().unwrap().len();
        for (row, parity) in table(&reference.folder.join("parity500.csv")).iter().enumerate() {
            assert_eq!(number(parity, "row") as usize, row);
            let z: Vec<f64> = reference.feature(row).iter().zip(&mean).map(|(h, m)| f64::from(*h) - m).collect();
            let product = |a: &[f64]| a.iter().zip(&z).map(|(x, y)| x * y).sum::<f64>();
            let kept = components.chunks_exact(reference.dim).take(classes).map(|row| product(row).powi(2));
            let ratio = (kept.sum::<f64>() / product(&z)).sqrt();
            assert!((ratio - number(parity, "neco_noscale_centred_C")).abs() < 1e-9);
            let top = reference.logits(row).iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert!((f64::from(top) - number(parity, "maxlogit")).abs() < 1e-9);
        }
    }
}
