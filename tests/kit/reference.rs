//! One reference model of the kit: features and logits of every image, the classifier's head, and its tables.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use shelfwatch::backbone::Head;
use shelfwatch::method::{MethodError, Options, Parameters, Scores, Statistics};

use crate::npy::{Element, npy};
use crate::table::table;

/// Every model whose reference holds features of all images.
pub(crate) const MODELS: [&str; 6] = [
    "cifar10/reference/resnet20",
    "cifar10/reference/resnet20_int8_qdq",
    "cifar10/reference/resnet20_jpeg",
    "cifar10/reference/resnet20_jpeg_int8_qdq",
    "steel/reference/mobilenetv2_100",
    "steel/reference/mobilenetv2_100_int8_qdq",
];

pub(crate) struct Reference {
    pub(crate) folder: PathBuf,
    pub(crate) dim: usize,
    classes: usize,
    features: Vec<f32>,
    logits: Vec<f32>,
    pub(crate) index: Vec<HashMap<String, String>>,
}

impl Reference {
    pub(crate) fn load(kit: &Path, model: &str) -> Self {
        let folder = kit.join(model);
        let arrays = folder.join("features_logits.npz");
        let (shape, features) = npz(&arrays, "features");
        let (logits_shape, logits) = npz(&arrays, "logits");
        Self {
            dim: shape[1] as usize,
            classes: logits_shape[1] as usize,
            features,
            logits,
            index: table(&folder.join("index.csv")),
            folder,
        }
    }

    pub(crate) fn feature(&self, row: usize) -> &[f32] {
        &self.features[row * self.dim..][..self.dim]
    }

    pub(crate) fn logits(&self, row: usize) -> &[f32] {
        &self.logits[row * self.classes..][..self.classes]
    }

    /// Rows of a split.
    pub(crate) fn rows(&self, split: &str) -> Vec<usize> {
        (0..self.index.len()).filter(|row| self.index[*row]["split"] == split).collect()
    }

    /// Statistics of these rows, with their class folders as labels and the row number, scattered, as key.
    pub(crate) fn statistics(&self, rows: &[usize]) -> Statistics {
        let names: BTreeSet<_> = rows.iter().map(|row| self.index[*row]["class"].clone()).collect();
        let names: Vec<String> = names.into_iter().collect();
        let mut statistics = Statistics::new(self.dim, self.classes, names.clone()).unwrap();
        for row in rows {
            let label = names.iter().position(|name| *name == self.index[*row]["class"]);
            let key = (*row as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            statistics.add(key, self.feature(*row), self.logits(*row), label).unwrap();
        }
        statistics
    }

    pub(crate) fn head(&self) -> Head {
        let arrays = self.folder.join("neco_params.npz");
        let narrow = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
        let (shape, weights) = npz(&arrays, "classifier_weight");
        let (_, bias) = npz(&arrays, "classifier_bias");
        Head { weights: narrow(weights), bias: narrow(bias), classes: shape[0] as usize, dim: shape[1] as usize }
    }

    pub(crate) fn fit(&self, options: &Options) -> Result<Parameters, MethodError> {
        Parameters::fit(&self.statistics(&self.rows("fit")), Some(&self.head()), options)
    }

    pub(crate) fn scores(&self, parameters: &Parameters, row: usize) -> Scores {
        parameters.scores(self.feature(row), self.logits(row)).unwrap()
    }
}

/// An array of an npz file: its shape and its values.
pub(crate) fn npz<T: Element>(path: &Path, name: &str) -> (Vec<u64>, Vec<T>) {
    let mut archive = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
    let mut bytes = Vec::new();
    archive.by_name(&format!("{name}.npy")).unwrap().read_to_end(&mut bytes).unwrap();
    npy(&bytes)
}
