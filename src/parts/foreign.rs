//! Things that are no parts at all, lying on the belt in place of a part or on top of one.

use tiny_skia::PathBuilder;

use super::bench::{Bench, Material, around, blob, circle, polygon, polyline, regular, slab};
use super::random::Random;

/// A foreign object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Foreign {
    /// A piece of electric cable.
    Cable,
    /// A coin.
    Coin,
    /// A gloved finger reaching in.
    Glove,
    /// An insect sitting on the part.
    Insect,
    /// A printed paper label.
    Label,
    /// A curl of swarf.
    Swarf,
}

impl Foreign {
    /// Every foreign object.
    pub const ALL: [Self; 6] = [Self::Cable, Self::Coin, Self::Glove, Self::Insect, Self::Label, Self::Swarf];

    /// Lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cable => "cable",
            Self::Coin => "coin",
            Self::Glove => "glove",
            Self::Insect => "insect",
            Self::Label => "label",
            Self::Swarf => "swarf",
        }
    }

    /// How often it lies there without a part under it.
    pub(super) const fn alone(self) -> f32 {
        match self {
            Self::Coin => 0.7,
            Self::Label | Self::Cable => 0.3,
            Self::Glove | Self::Insect | Self::Swarf => 0.0,
        }
    }

    /// Draws the object over what lies there.
    pub(super) fn draw(self, bench: &mut Bench, random: &mut Random) {
        let place = |bench: &mut Bench, random: &mut Random, low: f32, high: f32| {
            let scale = random.within(low, high);
            let (x, y) = (random.within(0.36, 0.64), random.within(0.36, 0.64));
            bench.lay(x, y, random.unit(), scale);
        };
        match self {
            Self::Cable => cable(bench, random),
            Self::Coin => {
                place(bench, random, 0.26, 0.28);
                coin(bench);
            }
            Self::Glove => glove(bench, random),
            Self::Insect => {
                place(bench, random, 0.1, 0.13);
                insect(bench);
            }
            Self::Label => {
                place(bench, random, 0.235, 0.285);
                label(bench, random);
            }
            Self::Swarf => {
                place(bench, random, 0.155, 0.2);
                swarf(bench, random);
            }
        }
    }
}

const fn matt(colour: [u8; 3]) -> Material {
    Material { colour, gloss: 40, grain: 0 }
}

fn cable(bench: &mut Bench, random: &mut Random) {
    bench.lay(0.5, 0.5, random.unit(), 0.36);
    let colours = [[170, 40, 36], [28, 28, 30], [206, 174, 40], [40, 70, 150]];
    let sheath = matt(colours[random.below(4)]);
    let mut path = PathBuilder::new();
    path.move_to(-1.7, random.within(-0.8, 0.8));
    let bend = random.within(0.6, 1.2);
    path.cubic_to(-0.5, -bend, 0.4, bend, 1.7, random.within(-0.8, 0.8));
    if let Some(path) = path.finish() {
        bench.wire(&path, random.within(0.22, 0.3), sheath.shaded(1.2), 230);
    }
}

fn coin(bench: &mut Bench) {
    let metal = Material { colour: [178, 116, 74], gloss: 140, grain: 30 };
    bench.fill(&circle(0.0, 0.0, 1.0), metal.shaded(0.9), 140);
    bench.fill(&circle(0.0, 0.0, 0.9), metal, 110);
    bench.fill(&circle(0.0, -0.1, 0.36), metal.shaded(1.05), 170);
    bench.fill(&polygon(&[(-0.5, 0.6), (-0.25, 0.2), (0.3, 0.2), (0.5, 0.6)]), metal.shaded(1.02), 160);
    bench.fill(&slab(0.0, 0.72, 0.3, 0.05), metal.shaded(0.8), 90);
}

fn glove(bench: &mut Bench, random: &mut Random) {
    bench.lay(0.5, 0.5, random.unit(), 0.36);
    let nitrile = matt([72, 116, 190]).shaded(random.within(0.85, 1.1));
    let tip = random.within(-0.1, 0.35);
    let drift = random.within(-0.3, 0.3);
    let mut path = PathBuilder::new();
    path.move_to(2.4, drift * 1.5);
    path.quad_to(1.2, drift, tip, 0.0);
    if let Some(path) = path.finish() {
        bench.wire(&path, 0.62, nitrile, 250);
    }
    let crease = polyline(&[(tip + 0.55, -0.22), (tip + 0.6, 0.2)]);
    bench.coat(&crease, Some(0.05), nitrile.shaded(0.6), 180, 200);
}

fn insect(bench: &mut Bench) {
    let shell = Material { colour: [38, 28, 22], gloss: 120, grain: 0 };
    for side in [-1.0, 1.0_f32] {
        for (from, to) in [(-0.2, -0.75), (0.05, 0.1), (0.3, 0.85)] {
            let leg = polyline(&[(from, 0.0), (from + to * 0.4, side * 0.75), (to, side * 1.0)]);
            bench.line(&leg, 0.13, shell, 120);
        }
    }
    for (x, radius) in [(0.45, 0.46), (-0.1, 0.34), (-0.55, 0.27)] {
        bench.fill(&circle(x, 0.0, radius), shell, 170);
        bench.fill(&circle(x, 0.0, radius * 0.5), shell.shaded(1.4), 230);
    }
}

fn label(bench: &mut Bench, random: &mut Random) {
    let paper = matt([232, 230, 222]);
    bench.fill(&slab(0.0, 0.0, 1.0, 0.68), paper, 160);
    for i in 0..4_u8 {
        let y = -0.45 + 0.2 * f32::from(i);
        let width = random.within(0.3, 0.75);
        bench.fill(&slab(width - 0.85, y, width, 0.05), matt([50, 48, 52]), 160);
    }
    let mut x = -0.8;
    while x < 0.8 {
        let width = random.within(0.03, 0.09);
        bench.fill(&slab(x, 0.46, width * 0.5, 0.14), matt([30, 30, 30]), 160);
        x += width + random.within(0.05, 0.1);
    }
}

fn swarf(bench: &mut Bench, random: &mut Random) {
    let steel = Material { colour: [206, 206, 212], gloss: 230, grain: 0 };
    let turns = random.within(1.6, 2.4);
    let points: Vec<_> = (0..=36_u8)
        .map(|i| {
            let t = f32::from(i) / 36.0;
            let (x, y) = around(0.55 + 0.15 * t, turns * t);
            (x + 1.5 * (t - 0.5), y)
        })
        .collect();
    bench.wire(&polyline(&points), 0.26, steel, 230);
    bench.fill(&blob(0.9, 0.0, 0.18, 0.5, random), steel.shaded(0.7), 160);
    bench.fill(&regular(3, 0.2, random.unit()), steel, 200);
}
