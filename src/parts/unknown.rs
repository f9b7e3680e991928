//! Parts of other lines that must not be on the demo line; no classifier here has seen one.

use tiny_skia::PathBuilder;

use super::bench::{Bench, Material, around, circle, polygon, polyline, regular, ring, slab};
use super::product::{BLACKENED, BRASS, STEEL, ZINC};
use super::random::Random;

/// A part that the line does not make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UnknownPart {
    /// A link of a roller chain.
    ChainLink,
    /// An open retaining ring.
    Circlip,
    /// A hand wheel with three spokes.
    HandWheel,
    /// A door key.
    Key,
    /// A wired resistor.
    Resistor,
    /// A square nut.
    SquareNut,
    /// A star-shaped knob.
    StarKnob,
    /// A wing nut.
    WingNut,
}

impl UnknownPart {
    /// Every unknown part.
    pub const ALL: [Self; 8] = [
        Self::ChainLink,
        Self::Circlip,
        Self::HandWheel,
        Self::Key,
        Self::Resistor,
        Self::SquareNut,
        Self::StarKnob,
        Self::WingNut,
    ];

    /// Lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChainLink => "chain-link",
            Self::Circlip => "circlip",
            Self::HandWheel => "hand-wheel",
            Self::Key => "key",
            Self::Resistor => "resistor",
            Self::SquareNut => "square-nut",
            Self::StarKnob => "star-knob",
            Self::WingNut => "wing-nut",
        }
    }

    /// Draws the part in its own coordinates.
    pub(super) fn draw(self, bench: &mut Bench, random: &mut Random) {
        let lot = random.within(0.92, 1.08);
        match self {
            Self::ChainLink => chain_link(bench, STEEL.shaded(lot)),
            Self::Circlip => circlip(bench, BLACKENED.shaded(lot * 1.3)),
            Self::HandWheel => hand_wheel(bench, STEEL.shaded(lot)),
            Self::Key => key(bench, BRASS.shaded(lot)),
            Self::Resistor => resistor(bench, lot),
            Self::SquareNut => square_nut(bench, STEEL.shaded(lot * 0.9)),
            Self::StarKnob => star_knob(bench, ZINC.shaded(lot)),
            Self::WingNut => wing_nut(bench, ZINC.shaded(lot)),
        }
    }
}

fn chain_link(bench: &mut Bench, steel: Material) {
    bench.fill(&slab(0.0, 0.0, 0.55, 0.3), steel, 120);
    for x in [-0.56, 0.56] {
        bench.fill(&circle(x, 0.0, 0.44), steel, 120);
        bench.fill(&circle(x, 0.0, 0.28), steel.shaded(1.1), 190);
        bench.cut(&circle(x, 0.0, 0.13));
    }
}

fn circlip(bench: &mut Bench, steel: Material) {
    let points: Vec<_> = (0..=40_u8).map(|i| around(0.8, 0.06 + 0.88 * f32::from(i) / 40.0)).collect();
    bench.line(&polyline(&points), 0.24, steel, 120);
    for &(x, y) in &[points[0], points[40]] {
        bench.fill(&circle(x, y, 0.2), steel, 130);
        bench.cut(&circle(x, y, 0.08));
    }
}

fn hand_wheel(bench: &mut Bench, steel: Material) {
    for i in 0..3_u8 {
        let (x, y) = around(0.85, f32::from(i) / 3.0);
        bench.wire(&polyline(&[(0.0, 0.0), (x, y)]), 0.2, steel, 130);
    }
    bench.fill(&ring(0.0, 0.0, 1.0, 0.76), steel.shaded(0.9), 140);
    bench.fill(&ring(0.0, 0.0, 0.94, 0.82), steel, 190);
    bench.fill(&circle(0.0, 0.0, 0.3), steel, 180);
    bench.cut(&circle(0.0, 0.0, 0.13));
}

fn key(bench: &mut Bench, brass: Material) {
    bench.fill(&circle(-0.55, 0.0, 0.46), brass, 130);
    bench.cut(&circle(-0.68, 0.0, 0.15));
    let blade = [
        (-0.2, -0.14),
        (1.0, -0.14),
        (1.08, 0.0),
        (1.0, 0.12),
        (0.86, 0.06),
        (0.76, 0.2),
        (0.62, 0.07),
        (0.5, 0.2),
        (0.36, 0.2),
        (0.28, 0.08),
        (0.16, 0.2),
        (-0.2, 0.2),
    ];
    bench.fill(&polygon(&blade), brass, 130);
    bench.line(&polyline(&[(-0.1, -0.04), (0.95, -0.04)]), 0.05, brass.shaded(0.6), 80);
}

fn resistor(bench: &mut Bench, lot: f32) {
    let body = Material { colour: [206, 178, 130], gloss: 50, grain: 0 }.shaded(lot);
    bench.wire(&polyline(&[(-1.15, 0.0), (1.15, 0.0)]), 0.09, ZINC, 100);
    for (half, shade, height) in [(0.3, 0.75, 110), (0.22, 0.95, 170), (0.1, 1.05, 210)] {
        bench.fill(&slab(0.0, 0.0, 0.52, half), body.shaded(shade), height);
        for x in [-0.52, 0.52] {
            bench.fill(&circle(x, 0.0, half + 0.05), body.shaded(shade), height);
        }
    }
    let bands = [[150, 40, 30], [40, 40, 110], [30, 30, 30], [190, 150, 50]];
    for (x, colour) in [-0.42, -0.18, 0.06, 0.4].into_iter().zip(bands) {
        let band = Material { colour, ..body };
        bench.coat(&slab(x, 0.0, 0.06, 0.34), None, band, 180, 230);
    }
}

fn square_nut(bench: &mut Bench, steel: Material) {
    bench.fill(&regular(4, 1.15, 0.125), steel.shaded(0.9), 150);
    bench.fill(&regular(4, 1.06, 0.125), steel.shaded(1.05), 190);
    bench.fill(&circle(0.0, 0.0, 0.46), steel.shaded(0.5), 90);
    bench.cut(&circle(0.0, 0.0, 0.37));
}

fn star_knob(bench: &mut Bench, zinc: Material) {
    let star = |outer: f32, inner: f32| {
        let points: Vec<_> = (0..12_u8)
            .map(|i| {
                let radius = if i % 2 == 0 { outer } else { inner };
                around(radius, f32::from(i) / 12.0)
            })
            .collect();
        polygon(&points)
    };
    bench.fill(&star(1.05, 0.55), zinc.shaded(0.9), 130);
    bench.fill(&star(0.92, 0.48), zinc, 180);
    bench.fill(&circle(0.0, 0.0, 0.3), zinc.shaded(0.8), 120);
}

fn wing_nut(bench: &mut Bench, zinc: Material) {
    for side in [-1.0, 1.0_f32] {
        let mut wing = PathBuilder::new();
        wing.move_to(side * 0.2, -0.25);
        wing.quad_to(side * 0.7, -0.75, side * 1.1, -0.5);
        wing.quad_to(side * 1.2, -0.05, side * 0.75, 0.1);
        wing.quad_to(side * 0.4, 0.2, side * 0.2, 0.28);
        wing.close();
        if let Some(wing) = wing.finish() {
            bench.fill(&wing, zinc.shaded(0.95), 140);
        }
    }
    bench.fill(&circle(0.0, 0.05, 0.46), zinc.shaded(0.85), 140);
    bench.fill(&circle(0.0, 0.05, 0.4), zinc, 190);
    bench.cut(&circle(0.0, 0.05, 0.2));
}
