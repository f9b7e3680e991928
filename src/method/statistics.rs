//! What a fit needs to know of its images, gathered one image at a time in memory that does not grow with them,
//! and merged exactly between shards. Refuses vectors of the wrong length and values that are not finite.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::double_double::{DoubleDouble, Sums};
use super::error::{MethodError, require_finite, require_length};
use super::moments::Moments;
use super::provenance::{Provenance, differing};
use super::sample::{Sample, Sampled};
use super::vector::{dot, widened};

/// Images whose products are added in one pass over the triangle.
const BLOCK: usize = 16;

/// Where the classes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Naming {
    /// Declared by the caller, one label per image.
    Labelled,
    /// The class of the largest logit.
    Predicted,
    /// Neither labels nor logits: one class.
    Single,
}

/// The sums of one class.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ClassSums {
    pub(super) name: Arc<str>,
    pub(super) count: u64,
    pub(super) feature: Sums,
    pub(super) direction: Sums,
}

impl ClassSums {
    fn zeros(name: Arc<str>, dim: usize) -> Self {
        Self { name, count: 0, feature: Sums::zeros(dim), direction: Sums::zeros(dim) }
    }
}

/// Streamed statistics of features `h` and logits. Adding and merging is exact as long as the sums of products
/// stay below 2^105 of their smallest addend's last place (always so for int8 features, and for post-`ReLU` float
/// features of usual scale up to about 2^20 images); beyond that the sums differ by 2^-100 relative at most.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    pub(super) dim: usize,
    pub(super) logits: usize,
    pub(super) naming: Naming,
    pub(super) images: u64,
    /// Sorted by name except while the caller's labels are in use; every reader sorts.
    pub(super) classes: Vec<ClassSums>,
    pub(super) feature: Moments,
    /// Moments of `h/‖h‖` rounded to f32.
    pub(super) direction: Moments,
    pub(super) max_logit: DoubleDouble,
    pub(super) max_logit_least: f64,
    pub(super) max_logit_not_positive: u64,
    pub(super) sample: Sample,
    pub(super) provenance: Provenance,
    pending_features: Vec<f64>,
    pending_directions: Vec<f64>,
}

impl Statistics {
    /// Empty statistics of features with `dim` channels and of `logits` logits (0: none). With `labels` every
    /// image needs a label; without, its class is that of the largest logit.
    ///
    /// # Errors
    /// Fewer than two channels, or a label that is used twice or holds a NUL.
    pub fn new(dim: usize, logits: usize, labels: Vec<String>) -> Result<Self, MethodError> {
        if dim < 2 {
            return Err(MethodError::TooFewChannels { dim });
        }
        let naming = match (labels.is_empty(), logits) {
            (false, _) => Naming::Labelled,
            (true, 0) => Naming::Single,
            (true, _) => Naming::Predicted,
        };
        let mut statistics = Self::empty(dim, logits, naming);
        for name in labels {
            if name.contains('\0') || statistics.classes.iter().any(|class| *class.name == name) {
                return Err(MethodError::ClassName { name });
            }
            statistics.classes.push(ClassSums::zeros(name.into(), dim));
        }
        Ok(statistics)
    }

    fn empty(dim: usize, logits: usize, naming: Naming) -> Self {
        Self::with_moments(Moments::zeros(dim), Moments::zeros(dim), logits, naming)
    }

    /// Statistics with these moments and nothing else.
    pub(super) fn with_moments(feature: Moments, direction: Moments, logits: usize, naming: Naming) -> Self {
        let dim = feature.first.len();
        Self {
            dim,
            logits,
            naming,
            images: 0,
            classes: Vec::new(),
            feature,
            direction,
            max_logit: DoubleDouble::default(),
            max_logit_least: f64::INFINITY,
            max_logit_not_positive: 0,
            sample: Sample::new(dim),
            provenance: Provenance::default(),
            pending_features: Vec::new(),
            pending_directions: Vec::new(),
        }
    }

    /// Adds one image. `key` is the first 8 bytes of its file's SHA-256; `label` indexes the labels of `new`.
    ///
    /// # Errors
    /// A wrong length, a value that is not finite, a label missing or unknown. Nothing is added then.
    pub fn add(&mut self, key: u64, feature: &[f32], logits: &[f32], label: Option<usize>) -> Result<(), MethodError> {
        require_length("feature", self.dim, feature.len())?;
        require_length("logits", self.logits, logits.len())?;
        require_finite("feature", feature)?;
        require_finite("logits", logits)?;
        let top = largest(logits);
        let class = self.class_index(label, top.map(|(index, _)| index))?;

        let wide = widened(feature);
        let norm = dot(&wide, &wide).sqrt();
        // Rounded to f32, so that the products are exact in f64 and the sums do not depend on the order.
        let direction = wide.iter().map(|x| if norm > 0.0 { f64::from((x / norm) as f32) } else { 0.0 });
        let direction: Vec<f64> = direction.collect();

        self.images += 1;
        let sums = &mut self.classes[class];
        sums.count += 1;
        sums.feature.add(&wide);
        sums.direction.add(&direction);
        if let Some((_, value)) = top {
            let value = f64::from(value);
            self.max_logit = self.max_logit.plus(value);
            self.max_logit_least = self.max_logit_least.min(value);
            self.max_logit_not_positive += u64::from(value <= 0.0);
        }
        if self.sample.admits(key) {
            let class = Arc::clone(&self.classes[class].name);
            self.sample.add(Sampled::new(key, class, feature, logits));
        }
        self.pending_features.extend_from_slice(&wide);
        self.pending_directions.extend_from_slice(&direction);
        if self.pending_features.len() >= BLOCK * self.dim {
            self.settle();
        }
        Ok(())
    }

    /// Adds another shard's statistics; classes are united by name.
    ///
    /// # Errors
    /// Different dimensions, backbone, recipe, taps or kind of classes. Nothing is added then.
    pub fn merge(&mut self, other: &Self) -> Result<(), MethodError> {
        differing("feature channels", &self.dim.to_string(), &other.dim.to_string())?;
        differing("number of logits", &self.logits.to_string(), &other.logits.to_string())?;
        differing("kind of classes", &format!("{:?}", self.naming), &format!("{:?}", other.naming))?;
        self.provenance.merge(&other.provenance)?;
        self.images += other.images;
        for theirs in &other.classes {
            let index = self.class_named(&theirs.name);
            let ours = &mut self.classes[index];
            ours.count += theirs.count;
            ours.feature.merge(&theirs.feature);
            ours.direction.merge(&theirs.direction);
        }
        self.feature.merge(&other.feature);
        self.direction.merge(&other.direction);
        self.max_logit = self.max_logit.plus_pair(other.max_logit);
        self.max_logit_least = self.max_logit_least.min(other.max_logit_least);
        self.max_logit_not_positive += other.max_logit_not_positive;
        self.sample.merge(&other.sample);
        self.settle();
        self.feature.add_rows(&other.pending_features);
        self.direction.add_rows(&other.pending_directions);
        Ok(())
    }

    /// Feature channels.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Number of logits, 0 for none.
    pub fn logits(&self) -> usize {
        self.logits
    }

    /// Images added.
    pub fn images(&self) -> u64 {
        self.images
    }

    /// Where the classes come from.
    pub fn naming(&self) -> Naming {
        self.naming
    }

    /// Name and image count of every class, by name.
    pub fn class_counts(&self) -> Vec<(String, u64)> {
        self.sorted_classes().iter().map(|class| (class.name.to_string(), class.count)).collect()
    }

    /// Mean feature of every class that has images, by name.
    pub fn class_means(&self) -> Vec<(String, Vec<f64>)> {
        self.filled_classes()
            .iter()
            .map(|class| (class.name.to_string(), class.feature.means(class.count as f64)))
            .collect()
    }

    /// Mean feature; zeros without images.
    pub fn mean(&self) -> Vec<f64> {
        self.settled().feature.first.means((self.images as f64).max(1.0))
    }

    /// Images whose largest logit is not positive; `neco-ml` and `neco-std-ml` turn around there.
    pub fn max_logit_not_positive(&self) -> u64 {
        self.max_logit_not_positive
    }

    /// Least and mean of the largest logit; `None` without logits or images.
    pub fn max_logit(&self) -> Option<(f64, f64)> {
        (self.logits > 0 && self.images > 0)
            .then(|| (self.max_logit_least, self.max_logit.value() / self.images as f64))
    }

    /// The sampled images, by key: `min(images, K)` of them.
    pub fn sample(&self) -> &[Sampled] {
        self.sample.images()
    }

    /// Where the statistics come from.
    pub fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// States where the statistics come from.
    pub fn set_provenance(&mut self, provenance: Provenance) {
        self.provenance = provenance;
    }

    /// Bytes held in sums, sample and pending rows: bounded whatever the number of images.
    pub fn size(&self) -> usize {
        let pending = 8 * (self.pending_features.capacity() + self.pending_directions.capacity());
        let classes = self.classes.len() * (size_of::<ClassSums>() + 32 * self.dim);
        self.feature.size() + self.direction.size() + classes + self.sample.size() + pending
    }

    /// The classes by name.
    pub(super) fn sorted_classes(&self) -> Vec<&ClassSums> {
        let mut classes: Vec<_> = self.classes.iter().collect();
        classes.sort_by(|a, b| a.name.cmp(&b.name));
        classes
    }

    /// The classes that have images, by name.
    pub(super) fn filled_classes(&self) -> Vec<&ClassSums> {
        self.sorted_classes().into_iter().filter(|class| class.count > 0).collect()
    }

    /// These statistics with nothing pending.
    pub(super) fn settled(&self) -> Cow<'_, Self> {
        if self.pending_features.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut settled = self.clone();
        settled.settle();
        Cow::Owned(settled)
    }

    fn settle(&mut self) {
        self.feature.add_rows(&self.pending_features);
        self.direction.add_rows(&self.pending_directions);
        self.pending_features.clear();
        self.pending_directions.clear();
    }

    fn class_index(&mut self, label: Option<usize>, predicted: Option<usize>) -> Result<usize, MethodError> {
        match (self.naming, label) {
            (Naming::Labelled, None) => Err(MethodError::LabelMissing),
            (Naming::Labelled, Some(label)) if label < self.classes.len() => Ok(label),
            (_, Some(label)) => Err(MethodError::UnknownLabel { label, labels: self.classes.len() }),
            (Naming::Predicted, None) => {
                let index = predicted.expect("statistics by predicted class have logits");
                Ok(self.class_named(&format!("predicted class {index}")))
            }
            (Naming::Single, None) => Ok(self.class_named("all")),
        }
    }

    /// The class of that name, made if new.
    fn class_named(&mut self, name: &str) -> usize {
        self.classes.iter().position(|class| *class.name == *name).unwrap_or_else(|| {
            self.classes.push(ClassSums::zeros(name.into(), self.dim));
            self.classes.len() - 1
        })
    }
}

/// The first largest value and its index.
pub(super) fn largest(values: &[f32]) -> Option<(usize, f32)> {
    values.iter().copied().enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best })
}
