//! Pseudo-strangers: good images with one fault added, as evidence where no real strangers are at hand.
//! The same fault, images and seed give the same picture; size and format stay.

mod geometry;
mod marks;
mod optics;

use crate::frame::Frame;
use crate::seed::Seed;

/// A kind of fault, plainly visible but not so strong that every score would catch it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// A patch of the other image pasted elsewhere (after Li et al., `CutPaste`, CVPR 2021).
    CutPaste,
    /// The tiles of a 3×3 or 4×4 grid in another order.
    PatchShuffle,
    /// One to three thin lines, light or dark.
    Scratch,
    /// One to three soft stains of a foreign colour.
    Blob,
    /// Out of focus.
    Blur,
    /// Moved while the shutter was open.
    MotionBlur,
    /// Far too little light.
    Dark,
    /// Far too much light: bright parts are lost in white.
    Overexposed,
    /// Light of another colour.
    ColourCast,
    /// Leaning by 15 to 30 degrees.
    Shear,
    /// A part is gone: its place has the colour of the image's border.
    Missing,
    /// A dark object covers a band or a corner.
    Occlusion,
    /// The grain of a sensor at far too high a gain.
    Noise,
}

impl Fault {
    /// Every fault, in a fixed order.
    pub const ALL: [Self; 13] = [
        Self::CutPaste,
        Self::PatchShuffle,
        Self::Scratch,
        Self::Blob,
        Self::Blur,
        Self::MotionBlur,
        Self::Dark,
        Self::Overexposed,
        Self::ColourCast,
        Self::Shear,
        Self::Missing,
        Self::Occlusion,
        Self::Noise,
    ];

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CutPaste => "cut-paste",
            Self::PatchShuffle => "patch-shuffle",
            Self::Scratch => "scratch",
            Self::Blob => "blob",
            Self::Blur => "blur",
            Self::MotionBlur => "motion-blur",
            Self::Dark => "dark",
            Self::Overexposed => "overexposed",
            Self::ColourCast => "colour-cast",
            Self::Shear => "shear",
            Self::Missing => "missing",
            Self::Occlusion => "occlusion",
            Self::Noise => "noise",
        }
    }
}

/// The frame with the fault. `other` is another good image (or the same one), of any size; only
/// [`Fault::CutPaste`] looks at it.
///
/// # Panics
/// Never: a canvas has the size of its frame.
pub(super) fn apply(fault: Fault, frame: &Frame, other: &Frame, seed: u64) -> Frame {
    let mut seed = Seed::new(seed ^ ((fault as u64 + 1) << 56));
    let mut canvas = Canvas::of(frame);
    match fault {
        Fault::CutPaste => marks::cut_paste(&mut canvas, &Canvas::of(other), &mut seed),
        Fault::PatchShuffle => geometry::shuffle(&mut canvas, &mut seed),
        Fault::Scratch => marks::scratch(&mut canvas, &mut seed),
        Fault::Blob => marks::blob(&mut canvas, &mut seed),
        Fault::Blur => optics::blur(&mut canvas, &mut seed),
        Fault::MotionBlur => optics::motion(&mut canvas, &mut seed),
        Fault::Dark => optics::dark(&mut canvas, &mut seed),
        Fault::Overexposed => optics::overexposed(&mut canvas, &mut seed),
        Fault::ColourCast => optics::cast(&mut canvas, &mut seed),
        Fault::Shear => geometry::shear(&mut canvas, &mut seed),
        Fault::Missing => marks::missing(&mut canvas, &mut seed),
        Fault::Occlusion => marks::occlusion(&mut canvas, &mut seed),
        Fault::Noise => optics::noise(&mut canvas, &mut seed),
    }
    let strange = Frame::new(frame.width(), frame.height(), canvas.rgb).expect("a fault keeps the size of its frame");
    strange.reduced_by(frame.reduction())
}

/// Pixels that are being changed. Width and height are at least 1.
struct Canvas {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Canvas {
    fn of(frame: &Frame) -> Self {
        Self { width: frame.width() as usize, height: frame.height() as usize, rgb: frame.rgb().to_vec() }
    }

    fn shorter(&self) -> f32 {
        self.width.min(self.height) as f32
    }

    /// The pixel there, or the nearest one of the border.
    fn get(&self, x: isize, y: isize) -> [u8; 3] {
        let x = x.clamp(0, self.width as isize - 1) as usize;
        let y = y.clamp(0, self.height as isize - 1) as usize;
        let at = (y * self.width + x) * 3;
        [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]]
    }

    fn set(&mut self, x: usize, y: usize, rgb: [u8; 3]) {
        let at = (y * self.width + x) * 3;
        self.rgb[at..at + 3].copy_from_slice(&rgb);
    }

    /// Mixes a colour in by a share of 0..=1.
    fn mix(&mut self, x: usize, y: usize, rgb: [u8; 3], share: f32) {
        let old = self.get(x as isize, y as isize);
        let mixed = std::array::from_fn(|c| byte(f32::from(old[c]) * (1.0 - share) + f32::from(rgb[c]) * share));
        self.set(x, y, mixed);
    }

    /// A rectangle somewhere inside whose sides are the given shares of the canvas, at least one pixel.
    fn place(&self, shares: [f32; 2], seed: &mut Seed) -> Area {
        let side = |whole: usize, share: f32| ((whole as f32 * share) as usize).clamp(1, whole);
        let (width, height) = (side(self.width, shares[0]), side(self.height, shares[1]));
        let x = seed.below(self.width - width + 1);
        let y = seed.below(self.height - height + 1);
        Area { x, y, width, height }
    }

    /// The mean over all pixels, or over those of the border.
    fn mean(&self, border_only: bool) -> [u8; 3] {
        let mut sum = [0u64; 3];
        let mut count = 0;
        for (index, rgb) in self.rgb.chunks_exact(3).enumerate() {
            let (x, y) = (index % self.width, index / self.width);
            let border = x == 0 || y == 0 || x + 1 == self.width || y + 1 == self.height;
            if border || !border_only {
                count += 1;
                (0..3).for_each(|c| sum[c] += u64::from(rgb[c]));
            }
        }
        sum.map(|sum| (sum / count) as u8)
    }
}

#[derive(Clone, Copy)]
struct Area {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

fn byte(value: f32) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::{Fault, apply};
    use crate::frame::Frame;

    fn part(width: u32, height: u32, tint: u32) -> Frame {
        let pixel = |x: u32, y: u32| {
            let ring = (i64::from(x) - i64::from(width / 2)).pow(2) + (i64::from(y) - i64::from(height / 2)).pow(2);
            let on = ring < i64::from(width * height / 8) && ring > i64::from(width * height / 40);
            let base = if on { 190 } else { 60 };
            [base + (x * 3 % 20), base + (y * 5 % 30), base + tint].map(|v| v.min(255) as u8)
        };
        let rgb = (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y))).collect();
        Frame::new(width, height, rgb).unwrap()
    }

    #[test]
    fn faults_are_visible_repeatable_and_differ_by_seed() {
        let (good, other) = (part(80, 64, 10), part(70, 90, 50));
        for fault in Fault::ALL {
            for seed in 0..20 {
                let bad = apply(fault, &good, &other, seed);
                assert_eq!((bad.width(), bad.height()), (80, 64));
                assert_eq!(bad, apply(fault, &good, &other, seed), "{}", fault.name());
                let moved = good.rgb().iter().zip(bad.rgb()).filter(|&(&a, &b)| a.abs_diff(b) > 8).count();
                assert!(moved >= 20, "{} with seed {seed} moves {moved} samples", fault.name());
            }
            // Strengths in whole pixels can coincide for two seeds of a small image, not for twenty.
            let first = apply(fault, &good, &other, 0);
            assert!((1..20).any(|seed| apply(fault, &good, &other, seed) != first), "{}", fault.name());
        }
    }

    #[test]
    fn no_size_panics() {
        for (width, height) in [(1, 1), (1, 9), (9, 1), (2, 2), (3, 5), (200, 2)] {
            for fault in Fault::ALL {
                for seed in 0..30 {
                    let bad = apply(fault, &part(width, height, 0), &part(2, 1, 9), seed);
                    assert_eq!((bad.width(), bad.height()), (width, height));
                }
            }
        }
    }

    #[test]
    fn names_are_distinct() {
        let mut names = Fault::ALL.map(Fault::name).to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Fault::ALL.len());
    }
}
