//! Lays the bench under a lamp: belt, shadow, relief, gloss and grain become an image.
//! Works on linear-ish values 0 to 255 in f32; clipping is left to the camera.

use super::bench::Bench;
use super::picture::Picture;
use super::random::{Random, field, sin_cos};

/// One lamp over the belt, as it is in one shot.
pub(super) struct Lamp {
    towards: [f32; 3],
    gain: f32,
    tint: [f32; 3],
    slope: [f32; 2],
}

impl Lamp {
    /// A lamp within the line's normal variation.
    pub(super) fn usual(random: &mut Random) -> Self {
        let (s, c) = sin_cos(0.625 + random.within(-0.06, 0.06));
        let height = random.within(0.95, 1.25);
        let norm = 1.0 / (1.0 + height * height).sqrt();
        let warmth = random.within(-0.045, 0.045);
        Self {
            towards: [c * norm, s * norm, height * norm],
            gain: random.within(0.9, 1.1),
            tint: [1.0 + warmth, 1.0, 1.0 - warmth],
            slope: [random.within(-0.1, 0.1), random.within(-0.1, 0.1)],
        }
    }
}

fn belt(x: f32, y: f32, grid: f32, seed: u64) -> [f32; 3] {
    let (u, v) = (x / grid, y / grid);
    let weave = ((u * 0.25).fract() - 0.5).abs() + ((v * 0.25).fract() - 0.5).abs();
    let patch = field(u * 0.06, v * 0.06, seed);
    let fibre = field(u * 0.9, v * 0.9, seed ^ 0x51);
    let level = 0.86 + 0.12 * weave + 0.16 * (patch - 0.5) + 0.28 * (fibre - 0.5);
    [54.0 * level, 60.0 * level, 58.0 * level]
}

/// Renders the bench.
pub(super) fn shine(bench: &Bench, lamp: &Lamp, random: &mut Random) -> Picture {
    let side = bench.colour.width() as usize;
    let grid = bench.grid();
    let seed = random.bits();
    let colour = bench.colour.data();
    let relief = bench.relief.data();
    let radius = (grid * 1.0) as usize;
    let height = Picture::grey(side, |i| f32::from(relief[4 * i])).boxed(radius.max(1));
    let soft = (grid * 2.0) as usize;
    let shadow = Picture::grey(side, |i| f32::from(colour[4 * i + 3])).boxed(soft.max(1));
    let at = |plane: &Picture, x: f32, y: f32| {
        let last = (side - 1) as f32;
        plane.values[y.clamp(0.0, last) as usize * side + x.clamp(0.0, last) as usize]
    };
    let [lx, ly, lz] = lamp.towards;
    let half = 1.0 / (lx * lx + ly * ly + (lz + 1.0) * (lz + 1.0)).sqrt();
    let (sine, cosine) = sin_cos(bench.turn);
    let mut values = vec![0.0; 3 * side * side];
    for i in 0..side * side {
        let (x, y) = ((i % side) as f32, (i / side) as f32);
        let shade = at(&shadow, x + lx * 5.0 * grid, y + ly * 5.0 * grid) / 255.0;
        let ground = belt(x, y, grid, seed).map(|c| c * (1.0 - 0.55 * shade));
        let cover = f32::from(colour[4 * i + 3]) / 255.0;
        let slope = 0.016 * grid;
        let gx = (at(&height, x + 1.0, y) - at(&height, x - 1.0, y)) * slope;
        let gy = (at(&height, x, y + 1.0) - at(&height, x, y - 1.0)) * slope;
        let norm = 1.0 / (gx * gx + gy * gy + 1.0).sqrt();
        let diffuse = ((lz - gx * lx - gy * ly) * norm).max(0.0);
        let mirror = ((lz + 1.0 - gx * lx - gy * ly) * half * norm).max(0.0);
        let gloss = f32::from(relief[4 * i + 1]) / 255.0;
        let spark = mirror.powi(24) * gloss * 90.0;
        let mut body = 0.42 + 0.72 * diffuse;
        if cover > 0.0 {
            let (u, v) = ((x * cosine + y * sine) / grid, (y * cosine - x * sine) / grid);
            let grain = f32::from(relief[4 * i + 2]) / 255.0;
            let line = field(u * 0.09, v * 0.8, seed ^ 0x77) - 0.5;
            let sheen = field(u * 0.04, v * 0.04, seed ^ 0x99) - 0.5;
            body *= 1.0 + 0.3 * grain * line + 0.18 * gloss * sheen;
        }
        let fall = 1.0 + lamp.slope[0] * (x / side as f32 - 0.5) * 2.0 + lamp.slope[1] * (y / side as f32 - 0.5) * 2.0;
        for c in 0..3 {
            let own = f32::from(colour[4 * i + c]) * body + spark * cover;
            let sum = own + ground[c] * (1.0 - cover);
            values[3 * i + c] = sum * lamp.gain * lamp.tint[c] * fall;
        }
    }
    Picture { side, channels: 3, values }
}
