//! What can be wrong with features, statistics and their file, each with the remedy.

use thiserror::Error;

/// Why statistics could not be gathered, merged, read or turned into parameters.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum MethodError {
    /// A feature or logits vector of another length than the statistics or parameters were made for.
    #[error("{what} vector has {found} values (need {expected}); use the backbone that the fit used")]
    Length {
        /// `feature`, `logits` or `feature map`.
        what: &'static str,
        /// Values expected.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// NaN or infinity in a vector.
    #[error("{what} value {index} is {value}; check the backbone and the preprocess recipe on this image")]
    NotFinite {
        /// `feature`, `logits` or `feature map`.
        what: &'static str,
        /// Position in the vector.
        index: usize,
        /// The value.
        value: f32,
    },
    /// A feature with no or one channel, which has no direction to speak of.
    #[error("feature has {dim} channels (need 2); choose another feature tensor")]
    TooFewChannels {
        /// Channels given.
        dim: usize,
    },
    /// A label index beyond the labels, or a label where none were declared.
    #[error("label {label} is not one of the {labels} declared classes; declare the class when the statistics start")]
    UnknownLabel {
        /// The index given.
        label: usize,
        /// How many classes were declared.
        labels: usize,
    },
    /// Classes were declared and an image came without.
    #[error("image has no class label although classes were declared; put it into a class folder")]
    LabelMissing,
    /// A class name that is used twice or holds a NUL character.
    #[error("class name {name:?} is used twice or holds a NUL character; rename the class")]
    ClassName {
        /// The name.
        name: String,
    },
    /// Statistics that cannot be merged.
    #[error(
        "statistics differ in {what} ({ours} and {theirs}); merge only statistics made with the same backbone, recipe and kind of classes"
    )]
    Merge {
        /// What differs.
        what: &'static str,
        /// The value here.
        ours: String,
        /// The value in the other.
        theirs: String,
    },
    /// Too few images.
    #[error("{have} images are too few to fit (need {need}); add good images")]
    TooFewImages {
        /// Images at hand.
        have: u64,
        /// Least number.
        need: u64,
    },
    /// Every channel has the same value on every image.
    #[error(
        "all {dim} feature channels are constant over the {images} images; check that the images differ and that the feature tensor is the right one"
    )]
    ConstantFeatures {
        /// Channels.
        dim: usize,
        /// Images.
        images: u64,
    },
    /// A dimension that is zero or beyond what the images or channels support.
    #[error(
        "{dim} principal components are not possible with {images} images of {channels} channels; choose 1 to {most}"
    )]
    Dimension {
        /// Asked for.
        dim: usize,
        /// Images.
        images: u64,
        /// Channels.
        channels: usize,
        /// The most that is possible.
        most: usize,
    },
    /// A share of variance outside (0, 1].
    #[error("variance share {share} is outside (0, 1]; choose for example 0.9")]
    Share {
        /// Asked for.
        share: f64,
    },
    /// The classifier head does not fit the features or logits.
    #[error(
        "classifier head is {classes}×{head_dim} but features have {dim} channels and there are {logits} logits; choose the feature tensor that feeds the head"
    )]
    HeadShape {
        /// Rows of the weights.
        classes: usize,
        /// Columns of the weights.
        head_dim: usize,
        /// Feature channels.
        dim: usize,
        /// Logits.
        logits: usize,
    },
    /// The classifier head holds NaN or infinity.
    #[error("classifier head holds a value that is not finite; export the model again")]
    HeadNotFinite,
    /// An eigen- or singular-value decomposition did not converge.
    #[error("decomposition of the {what} did not converge; check the features for extreme values")]
    Decomposition {
        /// Which matrix.
        what: &'static str,
    },
    /// The bytes do not begin like a statistics file.
    #[error("not a statistics file; give a file written by `fit --stats-out`")]
    NotStatistics,
    /// A format version this program does not know.
    #[error("statistics file has format version {found} (this program reads {known}); use the program that wrote it")]
    Version {
        /// In the file.
        found: u16,
        /// Known here.
        known: u16,
    },
    /// Fewer or more bytes than the header promises.
    #[error("statistics file has {have} bytes (need {need}); copy it again")]
    FileLength {
        /// Bytes needed.
        need: u64,
        /// Bytes at hand.
        have: u64,
    },
    /// The checksum does not agree.
    #[error("statistics file is damaged (checksum {found:08x}, need {expected:08x}); copy it again")]
    Checksum {
        /// As stored.
        expected: u32,
        /// As computed.
        found: u32,
    },
    /// The header cannot be decoded.
    #[error("statistics file has an unreadable header; write it again")]
    Header,
    /// A part of the file contradicts another.
    #[error("statistics file contradicts itself in {what}; write it again")]
    Inconsistent {
        /// Which part.
        what: &'static str,
    },
}

/// The first value that is not finite, as an error.
pub(super) fn require_finite(what: &'static str, values: &[f32]) -> Result<(), MethodError> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(MethodError::NotFinite { what, index, value: values[index] }),
    }
}

/// The length, or an error that names the vector.
pub(super) fn require_length(what: &'static str, expected: usize, found: usize) -> Result<(), MethodError> {
    if expected == found { Ok(()) } else { Err(MethodError::Length { what, expected, found }) }
}
