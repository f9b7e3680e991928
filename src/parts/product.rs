//! The eight products of the demo line, drawn in their own coordinates (half length about 1).
//! A product can be drawn with one of its own pieces missing.

use super::bench::{Bench, Material, around, circle, polygon, polyline, regular, ring, slab};
use super::random::Random;

/// A product class of the demo line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Product {
    /// Caged ball bearing, seen along its axis.
    Bearing,
    /// Hexagon bolt, seen from the side.
    Bolt,
    /// Painted angle bracket with four holes.
    Bracket,
    /// Plastic connector with six gilded pins.
    Connector,
    /// Brass gear of fourteen teeth.
    Gear,
    /// Hexagon nut, seen along its axis.
    Nut,
    /// Compression spring, seen from the side.
    Spring,
    /// Plain zinc-plated washer.
    Washer,
}

impl Product {
    /// Every product, in the order of the bundled model's outputs (by name).
    pub const ALL: [Self; 8] =
        [Self::Bearing, Self::Bolt, Self::Bracket, Self::Connector, Self::Gear, Self::Nut, Self::Spring, Self::Washer];

    /// Lower-case name, also the name of its image folder.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bearing => "bearing",
            Self::Bolt => "bolt",
            Self::Bracket => "bracket",
            Self::Connector => "connector",
            Self::Gear => "gear",
            Self::Nut => "nut",
            Self::Spring => "spring",
            Self::Washer => "washer",
        }
    }

    /// How far the part may lie turned on the belt, in turns to either side: round parts lie as
    /// they fall, long ones are held by the guide rails.
    pub(super) const fn play(self) -> f32 {
        match self {
            Self::Bearing | Self::Gear | Self::Nut | Self::Washer => 0.5,
            Self::Bolt | Self::Bracket | Self::Connector | Self::Spring => 0.035,
        }
    }

    /// Draws the part; `missing` leaves out one of its pieces.
    pub(super) fn draw(self, bench: &mut Bench, missing: bool, random: &mut Random) {
        let lot = random.within(0.95, 1.05);
        match self {
            Self::Bearing => bearing(bench, lot, missing, random),
            Self::Bolt => bolt(bench, lot, missing, random),
            Self::Bracket => bracket(bench, lot, missing, random),
            Self::Connector => connector(bench, lot, missing, random),
            Self::Gear => gear(bench, lot, missing, random),
            Self::Nut => nut(bench, lot, missing, random),
            Self::Spring => spring(bench, lot, missing, random),
            Self::Washer => washer(bench, lot, missing, random),
        }
    }
}

/// Turned or milled steel.
pub(super) const STEEL: Material = Material { colour: [158, 163, 168], gloss: 170, grain: 120 };
/// Zinc-plated steel.
pub(super) const ZINC: Material = Material { colour: [190, 193, 190], gloss: 150, grain: 150 };
/// Steel with a black oxide coat.
pub(super) const BLACKENED: Material = Material { colour: [84, 86, 92], gloss: 120, grain: 60 };
/// Brass.
pub(super) const BRASS: Material = Material { colour: [196, 160, 84], gloss: 170, grain: 110 };
const GOLD: Material = Material { colour: [222, 182, 84], gloss: 200, grain: 10 };
const PLASTIC: Material = Material { colour: [74, 146, 96], gloss: 60, grain: 15 };
const PAINT: Material = Material { colour: [58, 98, 168], gloss: 90, grain: 25 };

fn bearing(bench: &mut Bench, lot: f32, missing: bool, random: &mut Random) {
    let steel = STEEL.shaded(lot * 1.08);
    bench.fill(&circle(0.0, 0.0, 1.0), steel.shaded(0.9), 130);
    bench.fill(&circle(0.0, 0.0, 0.95), steel, 175);
    bench.fill(&circle(0.0, 0.0, 0.76), BLACKENED.shaded(0.5), 40);
    let lost = random.below(9);
    let gap = random.unit();
    for i in 0..9_u8 {
        if missing && (usize::from(i) + 9 - lost) % 9 < 3 {
            continue;
        }
        let (x, y) = around(0.61, gap + f32::from(i) / 9.0);
        bench.fill(&circle(x, y, 0.15), steel.shaded(0.7), 80);
        bench.fill(&circle(x, y, 0.11), steel.shaded(0.95), 130);
        bench.fill(&circle(x, y, 0.055), steel.shaded(1.2), 170);
    }
    bench.fill(&circle(0.0, 0.0, 0.47), steel, 175);
    bench.fill(&circle(0.0, 0.0, 0.33), steel.shaded(0.85), 130);
    bench.cut(&circle(0.0, 0.0, 0.29));
    if missing {
        let (x, y) = around(0.95, gap + (lost as f32 + 1.0) / 9.0);
        bench.cut(&circle(x, y, 0.34));
    }
}

fn bolt(bench: &mut Bench, lot: f32, missing: bool, random: &mut Random) {
    let steel = BLACKENED.shaded(lot * 1.25);
    for (half, height, shade) in [(0.26, 90, 0.75), (0.2, 150, 0.95), (0.1, 190, 1.1)] {
        bench.fill(&slab(0.26, 0.0, 0.84, half), steel.shaded(shade), height);
    }
    let lost = 0.25 + 0.5 * random.unit();
    let phase = random.unit() * 0.1;
    for i in 0..11_u8 {
        let x = 0.06 + phase + f32::from(i) * 0.096;
        if x > 1.06 || (missing && (x - lost).abs() < 0.3) {
            continue;
        }
        let flank = polyline(&[(x, -0.27), (x + 0.05, 0.27)]);
        bench.coat(&flank, Some(0.034), steel.shaded(0.42), 60, 230);
    }
    if missing {
        bench.coat(&slab(lost + 0.02, 0.0, 0.3, 0.3), None, steel.shaded(1.25), 150, 200);
    }
    if missing {
        bench.cut(&slab(0.96, 0.0, 0.3, 0.4));
    }
    bench.fill(&slab(-0.68, 0.0, 0.3, 0.56), steel.shaded(0.8), 150);
    bench.fill(&slab(-0.68, 0.0, 0.28, 0.3), steel.shaded(1.15), 215);
    bench.fill(&slab(-0.68, 0.42, 0.28, 0.12), steel.shaded(0.9), 170);
    bench.fill(&slab(-0.68, -0.42, 0.28, 0.12), steel.shaded(0.9), 170);
}

fn bracket(bench: &mut Bench, lot: f32, missing: bool, random: &mut Random) {
    let paint = PAINT.shaded(lot);
    let outline = [(-0.9, -0.92), (-0.22, -0.92), (-0.22, 0.2), (0.92, 0.2), (0.92, 0.9), (-0.76, 0.9), (-0.9, 0.76)];
    bench.fill(&polygon(&outline), paint.shaded(0.9), 90);
    let inset: Vec<_> = outline
        .iter()
        .map(|&(x, y): &(f32, f32)| (x - 0.05 * (x + 0.4).signum(), y - 0.05 * (y - 0.4).signum()))
        .collect();
    bench.fill(&polygon(&inset), paint, 120);
    let lost = random.below(4);
    let holes = [(-0.56, -0.6), (-0.56, -0.06), (0.06, 0.55), (0.6, 0.55)];
    for (i, (x, y)) in holes.into_iter().enumerate() {
        if missing && (i == lost || i == (lost + 1) % 4) {
            continue;
        }
        bench.fill(&circle(x, y, 0.2), STEEL.shaded(0.9), 70);
        bench.cut(&circle(x, y, 0.155));
    }
    if missing {
        let (x, y) = if lost < 2 { (-0.56, -0.82) } else { (0.82, 0.55) };
        bench.cut(&circle(x, y, 0.36));
    }
}

fn connector(bench: &mut Bench, lot: f32, missing: bool, random: &mut Random) {
    let plastic = PLASTIC.shaded(lot);
    let lost = random.below(6);
    for i in 0..6_u8 {
        let x = -0.75 + 0.3 * f32::from(i);
        if missing && usize::from(i).abs_diff(lost) < 2 {
            continue;
        }
        bench.fill(&slab(x, 0.5, 0.065, 0.42), GOLD.shaded(0.85), 60);
        bench.fill(&slab(x, 0.5, 0.035, 0.42), GOLD, 100);
    }
    bench.fill(&slab(0.0, -0.25, 1.0, 0.56), plastic.shaded(0.85), 150);
    bench.fill(&slab(0.0, -0.25, 0.96, 0.52), plastic, 180);
    bench.fill(&slab(0.0, -0.72, 0.3, 0.14), plastic.shaded(0.9), 150);
    for i in 0..6_u8 {
        let x = -0.75 + 0.3 * f32::from(i);
        bench.fill(&slab(x, -0.28, 0.105, 0.24), plastic.shaded(0.3), 50);
        if !(missing && usize::from(i).abs_diff(lost) < 2) {
            bench.fill(&slab(x, -0.24, 0.06, 0.12), GOLD, 120);
        }
    }
    if missing {
        let x = if lost < 3 { -0.9 } else { 0.9 };
        bench.cut(&slab(x, -0.55, 0.24, 0.3));
    }
}

fn gear(bench: &mut Bench, lot: f32, missing: bool, random: &mut Random) {
    let brass = BRASS.shaded(lot);
    let lost = u8::try_from(random.below(14)).unwrap_or(0);
    let mut outline = Vec::new();
    for i in 0..14_u8 {
        let gone = missing && (i + 14 - lost) % 14 < 4;
        let tip = if gone { 0.66 } else { 1.02 };
        for (radius, offset) in [(0.8, -0.3), (tip, -0.16), (tip, 0.16), (0.8, 0.3)] {
            outline.push(around(radius, (f32::from(i) + offset) / 14.0));
        }
    }
    bench.fill(&polygon(&outline), brass, 170);
    bench.fill(&circle(0.0, 0.0, 0.66), brass.shaded(0.88), 110);
    bench.fill(&circle(0.0, 0.0, 0.38), brass.shaded(1.05), 190);
    bench.cut(&circle(0.0, 0.0, 0.2));
    bench.cut(&slab(0.0, -0.22, 0.07, 0.08));
    if missing {
        let (x, y) = around(0.98, (f32::from(lost) + 1.5) / 14.0);
        bench.cut(&circle(x, y, 0.38));
    }
}

fn nut(bench: &mut Bench, lot: f32, missing: bool, random: &mut Random) {
    let steel = STEEL.shaded(lot * 0.86);
    bench.fill(&regular(6, 1.03, 0.0), steel.shaded(0.85), 130);
    bench.fill(&circle(0.0, 0.0, 0.89), steel.shaded(1.08), 200);
    bench.fill(&circle(0.0, 0.0, 0.58), steel.shaded(0.55), 110);
    for step in 0..3_u8 {
        bench.fill(&circle(0.0, 0.0, 0.54 - 0.035 * f32::from(step)), steel.shaded(0.4), 60 + 40 * (step % 2));
    }
    bench.cut(&circle(0.0, 0.0, 0.44));
    let corner = random.below(6) as f32 / 6.0;
    if missing {
        let (x, y) = around(1.02, corner);
        bench.cut(&circle(x, y, 0.5));
    }
}

fn spring(bench: &mut Bench, lot: f32, missing: bool, random: &mut Random) {
    let steel = ZINC.shaded(lot * 0.95);
    let pitch = 0.262;
    let lost = 2 + random.below(3);
    let x = |i: u8| -0.92 + pitch * f32::from(i);
    for i in 0..7_u8 {
        if missing && usize::from(i) == lost {
            continue;
        }
        let back = polyline(&[(x(i), 0.46), (x(i) + pitch, -0.46)]);
        bench.line(&back, 0.1, steel.shaded(0.45), 50);
    }
    for i in 0..8_u8 {
        if missing && (usize::from(i) == lost || usize::from(i) == lost + 1) {
            continue;
        }
        let slant = if i == 0 || i == 7 { 0.02 } else { 0.0 };
        let front = polyline(&[(x(i) - slant, -0.48), (x(i) + 0.02 + slant, 0.48)]);
        bench.wire(&front, 0.145, steel, 210);
    }
}

fn washer(bench: &mut Bench, lot: f32, missing: bool, random: &mut Random) {
    let zinc = ZINC.shaded(lot);
    let bore = 0.47 * random.within(0.98, 1.02);
    bench.fill(&ring(0.0, 0.0, 0.98, bore), zinc.shaded(0.92), 90);
    bench.fill(&ring(0.0, 0.0, 0.93, bore + 0.05), zinc, 120);
    let turn = random.unit();
    if missing {
        let wedge = [around(0.2, turn), around(1.3, turn - 0.075), around(1.3, turn + 0.075)];
        bench.cut(&polygon(&wedge));
    }
}
