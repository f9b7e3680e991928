//! Defects of a part that is already on the bench: changes of its layers near one point.
//! Where the part offers no fitting place the defect goes to the middle of the frame.

use super::bench::{Bench, Material, around, blob, circle, polyline};
use super::random::Random;

/// A local defect of a known part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Defect {
    /// A burr that stands out over the edge.
    Burr,
    /// A piece broken off the edge.
    Chip,
    /// A jagged crack from the edge inwards.
    Crack,
    /// A dented place.
    Dent,
    /// One of the part's own pieces is missing (tooth, pin, ball, hole, coil, …).
    Missing,
    /// A patch of rust.
    Rust,
    /// Scratches in one direction.
    Scratch,
    /// A dark stain of oil.
    Stain,
}

impl Defect {
    /// Every defect.
    pub const ALL: [Self; 8] =
        [Self::Burr, Self::Chip, Self::Crack, Self::Dent, Self::Missing, Self::Rust, Self::Scratch, Self::Stain];

    /// Lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Burr => "burr",
            Self::Chip => "chip",
            Self::Crack => "crack",
            Self::Dent => "dent",
            Self::Missing => "missing-piece",
            Self::Rust => "rust",
            Self::Scratch => "scratch",
            Self::Stain => "stain",
        }
    }

    /// Applies the defect; [`Defect::Missing`] is drawn by the product itself.
    pub(super) fn apply(self, bench: &mut Bench, random: &mut Random) {
        bench.in_pixels();
        match self {
            Self::Burr => burr(bench, random),
            Self::Chip => chip(bench, random),
            Self::Crack => crack(bench, random),
            Self::Dent => dent(bench, random),
            Self::Missing => {}
            Self::Rust => rust(bench, random),
            Self::Scratch => scratch(bench, random),
            Self::Stain => stain(bench, random),
        }
    }
}

/// A point well inside the part, in pixels.
fn surface(bench: &Bench, random: &mut Random) -> (f32, f32) {
    let side = bench.side();
    let reach = 3.0 * bench.grid();
    let mut best = (side / 2.0, side / 2.0);
    for tries in 0..400 {
        let (x, y) = (random.within(0.08, 0.92) * side, random.within(0.08, 0.92) * side);
        if bench.cover(x, y) < 250 {
            continue;
        }
        let around_it = [(reach, 0.0), (-reach, 0.0), (0.0, reach), (0.0, -reach)];
        let covered = around_it.iter().filter(|(dx, dy)| bench.cover(x + dx, y + dy) > 200).count();
        best = (x, y);
        if covered == 4 || (tries > 200 && covered >= 2) {
            break;
        }
    }
    best
}

/// A point on the part's edge, in pixels, and the direction outwards in turns.
fn edge(bench: &Bench, random: &mut Random) -> ((f32, f32), f32) {
    let side = bench.side();
    for _ in 0..100 {
        let (x, y) = surface(bench, random);
        let turn = random.unit();
        let (dx, dy) = around(1.0, turn);
        for step in 1..96_u8 {
            let (px, py) = (x + dx * f32::from(step), y + dy * f32::from(step));
            if px < 6.0 || py < 6.0 || px > side - 6.0 || py > side - 6.0 {
                break;
            }
            let behind = (px + dx * 3.0, py + dy * 3.0);
            if bench.cover(px, py) < 60 && bench.cover(behind.0, behind.1) < 60 {
                return ((px, py), turn);
            }
        }
    }
    ((side / 2.0, side / 2.0), 0.0)
}

const fn dull(colour: [u8; 3]) -> Material {
    Material { colour, gloss: 10, grain: 0 }
}

fn burr(bench: &mut Bench, random: &mut Random) {
    let ((x, y), turn) = edge(bench, random);
    let grid = bench.grid();
    let (dx, dy) = around(1.0, turn);
    let inside = (x - 3.0 * dx * grid, y - 3.0 * dy * grid);
    let metal = bench.material(inside.0, inside.1);
    let metal = Material { gloss: 200, ..metal.shaded(1.1) };
    for _ in 0..3 {
        let out = random.within(0.5, 4.5) * grid;
        let along = random.within(-4.5, 4.5) * grid;
        let radius = random.within(5.5, 7.5) * grid;
        let spike = blob(x + dx * out - dy * along, y + dy * out + dx * along, radius, 0.6, random);
        let height = 120 + random.below(120) as u8;
        bench.fill(&spike, metal.shaded(random.within(0.75, 1.1)), height);
    }
}

fn chip(bench: &mut Bench, random: &mut Random) {
    let ((x, y), turn) = edge(bench, random);
    let grid = bench.grid();
    let (dx, dy) = around(random.within(0.0, 2.5) * grid, turn);
    let radius = random.within(9.5, 12.5) * grid;
    let piece = blob(x - dx, y - dy, radius, 0.35, random);
    let fracture = blob(x - dx, y - dy, radius + 1.5 * grid, 0.25, random);
    bench.coat(&fracture, None, dull([92, 88, 84]), 50, 190);
    bench.cut(&piece);
}

fn crack(bench: &mut Bench, random: &mut Random) {
    let ((x, y), turn) = edge(bench, random);
    let grid = bench.grid();
    let heading = turn + 0.5;
    let (dx, dy) = around(1.0, heading);
    let steps = 6 + random.below(3);
    let mut points = vec![(x + dx * -grid, y + dy * -grid)];
    let (mut px, mut py) = (x, y);
    for _ in 0..steps {
        let (sx, sy) = around(random.within(3.4, 5.0) * grid, heading + random.within(-0.14, 0.14));
        px += sx;
        py += sy;
        points.push((px, py));
    }
    let path = polyline(&points);
    let width = random.within(2.8, 3.8) * grid;
    bench.coat(&path, Some(width + 1.4 * grid), dull([74, 70, 68]), 60, 150);
    bench.coat(&path, Some(width), dull([14, 12, 12]), 0, 245);
}

fn dent(bench: &mut Bench, random: &mut Random) {
    let (x, y) = surface(bench, random);
    let grid = bench.grid();
    let radius = random.within(8.0, 10.5) * grid;
    let metal = bench.material(x, y);
    for (part, shade, height) in [(1.0, 0.8, 150), (0.78, 0.66, 70), (0.5, 0.6, 10)] {
        let hollow = circle(x, y, radius * part);
        bench.coat(&hollow, None, metal.shaded(shade), height, 220);
    }
    let (gx, gy) = (x + radius * 0.45, y + radius * 0.45);
    bench.coat(&circle(gx, gy, radius * 0.3), None, metal.shaded(1.3), 40, 170);
}

fn rust(bench: &mut Bench, random: &mut Random) {
    let (x, y) = surface(bench, random);
    let grid = bench.grid();
    let spread = random.within(5.0, 7.0) * grid;
    let patch = blob(x, y, spread * 1.2, 0.35, random);
    bench.coat(&patch, None, dull([128, 66, 30]), 110, 215);
    for _ in 0..8 {
        let (dx, dy) = around(spread * random.unit(), random.unit());
        let radius = random.within(1.2, 2.8) * grid;
        let colours = [[96, 44, 20], [168, 92, 40], [120, 58, 24]];
        let spot = blob(x + dx, y + dy, radius, 0.4, random);
        bench.coat(&spot, None, dull(colours[random.below(3)]), 140, 235);
    }
}

fn scratch(bench: &mut Bench, random: &mut Random) {
    let (x, y) = surface(bench, random);
    let grid = bench.grid();
    let turn = random.unit();
    let (dx, dy) = around(1.0, turn);
    let half = random.within(9.0, 14.0) * grid;
    let dark = bench.material(x, y).colour.iter().map(|&c| u32::from(c)).sum::<u32>() > 330;
    for i in 0..3_i8 {
        let off = (f32::from(i) - 1.0) * random.within(2.2, 3.4) * grid;
        let (sx, sy) = (x - dy * off, y + dx * off);
        let (a, b) = (half * random.within(0.6, 1.0), half * random.within(0.6, 1.0));
        let mark = polyline(&[(sx - dx * a, sy - dy * a), (sx + dx * b, sy + dy * b)]);
        let colour = if dark { [44, 42, 44] } else { [236, 236, 240] };
        bench.coat(&mark, Some(random.within(1.2, 1.9) * grid), dull(colour), 20, 235);
    }
}

fn stain(bench: &mut Bench, random: &mut Random) {
    let (x, y) = surface(bench, random);
    let grid = bench.grid();
    let radius = random.within(9.5, 12.5) * grid;
    let oil = Material { colour: [34, 27, 18], gloss: 150, grain: 0 };
    bench.coat(&blob(x, y, radius, 0.3, random), None, oil, 120, 200);
    let (dx, dy) = around(radius * 1.1, random.unit());
    bench.coat(&blob(x + dx, y + dy, radius * 0.45, 0.3, random), None, oil, 120, 190);
}
