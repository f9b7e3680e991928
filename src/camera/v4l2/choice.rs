//! Which format and size of a camera come nearest to what is needed. Refuses cameras without a format that is read here.

use crate::capture::PixelFormat;

/// A format that is read here: its word, how to read it, and the kernel's code. The better come first: raw colour at
/// full and at halved chroma, then compressed, then without colour.
pub(super) struct Known {
    pub(super) word: &'static str,
    pub(super) format: PixelFormat,
    pub(super) fourcc: u32,
}

const fn known(word: &'static str, format: PixelFormat, code: [u8; 4]) -> Known {
    Known { word, format, fourcc: u32::from_le_bytes(code) }
}

/// All formats that are read here, the better first.
pub(super) const KNOWN: [Known; 6] = [
    known("rgb24", PixelFormat::Rgb24, *b"RGB3"),
    known("yuyv", PixelFormat::Yuyv, *b"YUYV"),
    known("nv12", PixelFormat::Nv12, *b"NV12"),
    known("mjpg", PixelFormat::File, *b"MJPG"),
    known("mjpg", PixelFormat::File, *b"JPEG"),
    known("grey", PixelFormat::Grey, *b"GREY"),
];

/// What a camera offers in one format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// Index in [`KNOWN`].
    pub(super) known: usize,
    pub(super) sizes: Sizes,
}

/// The sizes of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sizes {
    /// The camera does not say.
    Any,
    /// One size.
    One([u32; 2]),
    /// Least, most and step of the width, then of the height.
    Range([[u32; 3]; 2]),
}

impl Sizes {
    /// The nearest to the wanted size, not below it where there is one.
    fn nearest(self, wanted: [u32; 2]) -> [u32; 2] {
        match self {
            Self::Any => wanted,
            Self::One(size) => size,
            Self::Range([across, down]) => [stepped(across, wanted[0]), stepped(down, wanted[1])],
        }
    }
}

fn stepped([least, most, step]: [u32; 3], wanted: u32) -> u32 {
    let (step, wanted) = (step.max(1), wanted.clamp(least, most.max(least)));
    let up = (wanted - least).div_ceil(step).saturating_mul(step).saturating_add(least);
    if up > most { least + (most.saturating_sub(least)) / step * step } else { up }
}

/// The best offer and its size: one that is large enough with the fewest pixels, else the one that lacks least; between
/// equal sizes the format that stands first in [`KNOWN`].
pub(super) fn choose(offers: &[Offer], wanted: [u32; 2], word: Option<&str>) -> Option<(usize, [u32; 2])> {
    let allowed = offers.iter().filter(|offer| word.is_none_or(|word| KNOWN[offer.known].word == word));
    let sized = allowed.map(|offer| (offer.known, offer.sizes.nearest(wanted)));
    sized.min_by_key(|&(known, [width, height])| {
        let lacking = u64::from(wanted[0].saturating_sub(width)) + u64::from(wanted[1].saturating_sub(height));
        (lacking, u64::from(width) * u64::from(height), known)
    })
}

#[cfg(test)]
mod tests {
    use super::{KNOWN, Offer, Sizes, choose, stepped};

    fn offer(word: &str, sizes: Sizes) -> Offer {
        Offer { known: KNOWN.iter().position(|known| known.word == word).unwrap(), sizes }
    }

    #[test]
    fn the_nearest_is_chosen() {
        let webcam = [
            offer("mjpg", Sizes::One([1920, 1080])),
            offer("mjpg", Sizes::One([640, 480])),
            offer("yuyv", Sizes::One([640, 480])),
            offer("yuyv", Sizes::One([160, 120])),
        ];
        let chosen = |wanted, word| choose(&webcam, wanted, word).map(|(known, size)| (KNOWN[known].word, size));
        assert_eq!(chosen([224, 224], None), Some(("yuyv", [640, 480])));
        assert_eq!(chosen([224, 224], Some("mjpg")), Some(("mjpg", [640, 480])));
        assert_eq!(chosen([800, 600], None), Some(("mjpg", [1920, 1080])));
        assert_eq!(chosen([4000, 3000], None), Some(("mjpg", [1920, 1080])));
        assert_eq!(chosen([4000, 3000], Some("yuyv")), Some(("yuyv", [640, 480])));
        assert_eq!(chosen([224, 224], Some("grey")), None);
        let range = [offer("grey", Sizes::Range([[16, 2048, 8], [16, 1536, 2]])), offer("nv12", Sizes::Any)];
        assert_eq!(choose(&range, [225, 225], Some("grey")).unwrap().1, [232, 226]);
        assert_eq!(choose(&range, [225, 225], None).unwrap().1, [225, 225]);
    }

    #[test]
    fn steps_stay_within_their_range() {
        assert_eq!(stepped([10, 29, 8], 28), 26);
        assert_eq!(stepped([10, 29, 8], 1), 10);
        assert_eq!(stepped([10, 29, 0], 99), 29);
        assert_eq!(stepped([30, 10, 4], 20), 30);
        assert_eq!(stepped([0, u32::MAX, u32::MAX], 5), u32::MAX);
    }
}
