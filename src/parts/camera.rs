//! The camera: focus, exposure and noise of a normal shot, and the faults of a bad one.

use super::picture::{Picture, bell};
use super::random::{Random, field};

/// A fault of the camera or its optics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// Far too little light.
    Dark,
    /// Far out of focus.
    Defocus,
    /// A band of rows that repeats the row above it.
    FrozenBand,
    /// The part moved during the exposure.
    MotionBlur,
    /// Strong sensor noise.
    Noise,
    /// Far too much light.
    Overexposed,
    /// The trigger came late: half of the part is outside.
    Shifted,
    /// Grease on the lens.
    Smear,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 8] = [
        Self::Dark,
        Self::Defocus,
        Self::FrozenBand,
        Self::MotionBlur,
        Self::Noise,
        Self::Overexposed,
        Self::Shifted,
        Self::Smear,
    ];

    /// Lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Defocus => "defocus",
            Self::FrozenBand => "frozen-band",
            Self::MotionBlur => "motion-blur",
            Self::Noise => "noise",
            Self::Overexposed => "overexposed",
            Self::Shifted => "shifted",
            Self::Smear => "smear",
        }
    }
}

/// Takes the shot: RGB8 of the picture's side, row-major.
pub(super) fn shoot(scene: &Picture, fault: Option<Fault>, random: &mut Random) -> Vec<u8> {
    let side = scene.side;
    let grid = side as f32 / 96.0;
    let edge = random.within(0.0, 0.34);
    let mut image = scene.swept(&[edge, 1.0, edge]);
    let mut noise = random.within(1.5, 3.2);
    match fault {
        Some(Fault::Dark) => scale(&mut image, random.within(0.14, 0.26)),
        Some(Fault::Overexposed) => scale(&mut image, random.within(2.3, 3.0)),
        Some(Fault::Defocus) => {
            let variance = random.within(10.0, 20.0) * grid * grid;
            image = image.swept(&bell((2.0 * variance) as usize));
        }
        Some(Fault::MotionBlur) => {
            let length = (random.within(8.0, 12.0) * grid) as usize;
            let (dx, dy) = [(1, 0), (0, 1), (1, 1)][random.below(3)];
            image = image.folded(&vec![1.0; 2 * length + 1], dx, dy);
        }
        Some(Fault::Noise) => noise = random.within(34.0, 52.0),
        Some(Fault::Smear) => image = smeared(image, random),
        Some(Fault::FrozenBand | Fault::Shifted) | None => {}
    }
    let grainy = image.values.iter().map(|v| v + noise * random.bell());
    let mut rgb: Vec<u8> = grainy.map(|v| (v + 0.5).clamp(0.0, 255.0) as u8).collect();
    if fault == Some(Fault::FrozenBand) {
        freeze(&mut rgb, side, random);
    }
    rgb
}

fn scale(image: &mut Picture, factor: f32) {
    image.values.iter_mut().for_each(|v| *v *= factor);
}

fn smeared(image: Picture, random: &mut Random) -> Picture {
    let side = image.side;
    let grid = side as f32 / 96.0;
    let soft = image.swept(&bell((18.0 * grid * grid) as usize));
    let seed = random.bits();
    let (cx, cy) = (random.within(0.3, 0.7), random.within(0.3, 0.7));
    let reach = random.within(0.3, 0.42);
    let mut values = image.values;
    for (i, value) in values.iter_mut().enumerate() {
        let (x, y) = ((i / 3 % side) as f32, (i / 3 / side) as f32);
        let (u, v) = (x / side as f32 - cx, y / side as f32 - cy);
        let near = 1.0 - (u * u + v * v) / (reach * reach);
        let cloud = field(x / (9.0 * grid), y / (9.0 * grid), seed);
        let weight = (near * 1.6 + 0.7 * (cloud - 0.5)).clamp(0.0, 1.0);
        let haze = 0.6 * soft.values[i] + 74.0;
        *value += weight * 0.95 * (haze - *value);
    }
    Picture { values, ..image }
}

fn freeze(rgb: &mut [u8], side: usize, random: &mut Random) {
    let rows = (side as f32 * random.within(0.22, 0.36)) as usize;
    let first = (side as f32 * random.within(0.22, 0.45)) as usize;
    let stride = 3 * side;
    let row: Vec<u8> = rgb[first * stride..(first + 1) * stride].to_vec();
    for line in rgb.chunks_exact_mut(stride).skip(first).take(rows) {
        line.copy_from_slice(&row);
    }
}
