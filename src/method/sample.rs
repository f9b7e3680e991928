//! A uniform sample of the images that merges exactly: those with the smallest keys (bottom-K sampling).

use std::cmp::Ordering;
use std::sync::Arc;

/// An image of the sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampled {
    key: u64,
    class: Arc<str>,
    dim: usize,
    /// The feature, then the logits.
    values: Box<[f32]>,
}

impl Sampled {
    pub(super) fn new(key: u64, class: Arc<str>, feature: &[f32], logits: &[f32]) -> Self {
        Self { key, class, dim: feature.len(), values: [feature, logits].concat().into() }
    }

    /// The image's key: the first 8 bytes of its file's SHA-256.
    pub fn key(&self) -> u64 {
        self.key
    }

    /// Name of its class.
    pub fn class(&self) -> &Arc<str> {
        &self.class
    }

    /// Its feature.
    pub fn feature(&self) -> &[f32] {
        &self.values[..self.dim]
    }

    /// Its logits, empty where the backbone has none.
    pub fn logits(&self) -> &[f32] {
        &self.values[self.dim..]
    }

    /// By key; then, for files with equal bytes, by class and values, so that the order never depends on arrival.
    fn order(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key).then_with(|| self.class.cmp(&other.class)).then_with(|| {
            let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            bits(&self.values).cmp(&bits(&other.values))
        })
    }
}

/// The images with the smallest keys, ascending.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    capacity: usize,
    images: Vec<Sampled>,
}

impl Sample {
    /// Room for `2^20 / dim` images, at least 256 and at most 2048.
    pub(super) fn capacity_for(dim: usize) -> usize {
        ((1 << 20) / dim.max(1)).clamp(256, 2048)
    }

    pub(super) fn new(dim: usize) -> Self {
        Self { capacity: Self::capacity_for(dim), images: Vec::new() }
    }

    /// A sample of images that are already in order; `None` if they are not, or are too many.
    pub(super) fn from_sorted(dim: usize, images: Vec<Sampled>) -> Option<Self> {
        let capacity = Self::capacity_for(dim);
        let sorted = images.is_sorted_by(|a, b| a.order(b) != Ordering::Greater);
        (sorted && images.len() <= capacity).then_some(Self { capacity, images })
    }

    pub(super) fn images(&self) -> &[Sampled] {
        &self.images
    }

    /// Whether an image of that key could still enter; lets the caller skip the copy.
    pub(super) fn admits(&self, key: u64) -> bool {
        self.images.len() < self.capacity || self.images.last().is_some_and(|last| key <= last.key)
    }

    pub(super) fn add(&mut self, image: Sampled) {
        let place = self.images.partition_point(|other| other.order(&image) == Ordering::Less);
        if place < self.capacity {
            self.images.insert(place, image);
            self.images.truncate(self.capacity);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for image in &other.images {
            if self.admits(image.key) {
                self.add(image.clone());
            }
        }
    }

    /// Bytes of the vectors held.
    pub(super) fn size(&self) -> usize {
        self.images.iter().map(|image| size_of::<Sampled>() + 4 * image.values.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{Sample, Sampled};

    #[test]
    fn keeps_the_smallest_keys_whatever_the_order() {
        let image = |key: u64| Sampled::new(key, "all".into(), &[key as f32], &[]);
        let mut one = Sample { capacity: 3, images: vec![] };
        let mut two = one.clone();
        for key in [9, 1, 5, 7, 3] {
            one.add(image(key));
        }
        for key in [3, 7, 5, 1, 9] {
            two.add(image(key));
        }
        assert_eq!(one, two);
        assert_eq!(one.images.iter().map(|image| image.key).collect::<Vec<_>>(), [1, 3, 5]);
        assert_eq!(Sample::capacity_for(1280), 819);
        assert_eq!((Sample::capacity_for(64), Sample::capacity_for(100_000)), (2048, 256));
    }
}
