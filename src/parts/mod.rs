//! The demo line: parts and strangers drawn by the program itself, so that a demo needs no files.
//! Every picture follows from its subject, seed and size alone; sizes outside 32..=1024 are clamped.

mod bench;
mod camera;
mod defect;
mod foreign;
mod light;
mod picture;
mod product;
mod random;
mod unknown;

use crate::frame::Frame;

pub use self::camera::Fault;
pub use self::defect::Defect;
pub use self::foreign::Foreign;
pub use self::product::Product;
pub use self::unknown::UnknownPart;

use self::bench::{Bench, Material, circle};
use self::light::Lamp;
use self::random::Random;

/// Something that does not belong on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stranger {
    /// A part that the line does not make.
    Part(UnknownPart),
    /// A product with a local defect.
    Defect(Defect),
    /// A foreign object, with or without a product.
    Foreign(Foreign),
    /// A product seen by a faulty camera.
    Camera(Fault),
}

impl Stranger {
    /// The four groups of strangers, as [`Stranger::group`] names them.
    pub const GROUPS: [&'static str; 4] = ["unknown-part", "defect", "foreign", "camera"];

    /// Every stranger, group by group.
    pub fn all() -> impl Iterator<Item = Self> + Clone {
        let parts = UnknownPart::ALL.into_iter().map(Self::Part);
        let defects = Defect::ALL.into_iter().map(Self::Defect);
        let foreign = Foreign::ALL.into_iter().map(Self::Foreign);
        let faults = Fault::ALL.into_iter().map(Self::Camera);
        parts.chain(defects).chain(foreign).chain(faults)
    }

    /// Lower-case name, unique among all strangers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Part(part) => part.name(),
            Self::Defect(defect) => defect.name(),
            Self::Foreign(object) => object.name(),
            Self::Camera(fault) => fault.name(),
        }
    }

    /// Name of the stranger's group.
    pub const fn group(self) -> &'static str {
        match self {
            Self::Part(_) => Self::GROUPS[0],
            Self::Defect(_) => Self::GROUPS[1],
            Self::Foreign(_) => Self::GROUPS[2],
            Self::Camera(_) => Self::GROUPS[3],
        }
    }
}

/// What a picture shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// A good part.
    Product(Product),
    /// Something strange.
    Stranger(Stranger),
    /// The belt alone.
    Belt,
}

/// A rectangle in pixels; `x1` and `y1` are the first outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Box4 {
    /// Left-most column.
    pub x0: u32,
    /// Top-most row.
    pub y0: u32,
    /// First column to the right of it.
    pub x1: u32,
    /// First row below it.
    pub y1: u32,
}

impl Box4 {
    /// Whether the point lies in the box widened by `margin` on all sides, all in pixels.
    pub fn contains(&self, x: f32, y: f32, margin: f32) -> bool {
        x >= self.x0 as f32 - margin
            && x <= self.x1 as f32 + margin
            && y >= self.y0 as f32 - margin
            && y <= self.y1 as f32 + margin
    }
}

/// A picture and what is known about it.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// The picture, RGB.
    pub frame: Frame,
    /// The product in it, if there is one.
    pub product: Option<Product>,
    /// Where the defect is, for [`Stranger::Defect`]: the pixels of the part that it changed.
    pub defect: Option<Box4>,
}

/// Side of the pictures that the bundled backbone was trained on, in pixels.
pub const SIDE: u32 = 96;

/// Draws one square picture of `size` pixels (clamped to 32..=1024).
///
/// The same arguments give the same picture: random numbers, angles and filters are computed
/// here with additions and products, and shapes are filled by tiny-skia in software.
///
/// # Panics
/// Never: the picture always holds as many bytes as its side says.
pub fn draw(subject: Subject, seed: u64, size: u32) -> Drawn {
    let size = size.clamp(32, 1024);
    let mut random = Random::new(seed, stream(subject));
    let any = Product::ALL[random.below(Product::ALL.len())];
    let product = match subject {
        Subject::Product(product) => Some(product),
        Subject::Belt | Subject::Stranger(Stranger::Part(_)) => None,
        Subject::Stranger(Stranger::Foreign(object)) => (!random.chance(object.alone())).then_some(any),
        Subject::Stranger(Stranger::Defect(_) | Stranger::Camera(_)) => Some(any),
    };
    let lamp = Lamp::usual(&mut random);
    let mut bench = Bench::new(size);
    let late = subject == Subject::Stranger(Stranger::Camera(Fault::Shifted));
    lay(&mut bench, product, late, &mut random);
    let mut defect_box = None;
    if let Some(product) = product {
        let shape = random.clone();
        product.draw(&mut bench, false, &mut random);
        if let Subject::Stranger(Stranger::Defect(defect)) = subject {
            let (colour, relief) = (bench.colour.clone(), bench.relief.clone());
            if defect == Defect::Missing {
                bench.colour.fill(tiny_skia::Color::TRANSPARENT);
                bench.relief.fill(tiny_skia::Color::TRANSPARENT);
                product.draw(&mut bench, true, &mut shape.clone());
            } else {
                defect.apply(&mut bench, &mut random);
            }
            let layers = [(&colour, &bench.colour), (&relief, &bench.relief)];
            defect_box = changed(layers.map(|(a, b)| (a.data(), b.data())), size);
        }
    }
    match subject {
        Subject::Stranger(Stranger::Part(part)) => part.draw(&mut bench, &mut random),
        Subject::Stranger(Stranger::Foreign(object)) => object.draw(&mut bench, &mut random),
        _ => {}
    }
    dust(&mut bench, &mut random);
    let scene = light::shine(&bench, &lamp, &mut random);
    let fault = match subject {
        Subject::Stranger(Stranger::Camera(fault)) => Some(fault),
        _ => None,
    };
    let rgb = camera::shoot(&scene, fault, &mut random);
    Drawn { frame: Frame::new(size, size, rgb).expect("side by side by three bytes"), product, defect: defect_box }
}

/// The number of the random stream of a subject, so that no two subjects share one.
fn stream(subject: Subject) -> u64 {
    let number = match subject {
        Subject::Belt => 0,
        Subject::Product(product) => 0x100 + product as u16,
        Subject::Stranger(Stranger::Part(part)) => 0x200 + part as u16,
        Subject::Stranger(Stranger::Defect(defect)) => 0x300 + defect as u16,
        Subject::Stranger(Stranger::Foreign(object)) => 0x400 + object as u16,
        Subject::Stranger(Stranger::Camera(fault)) => 0x500 + fault as u16,
    };
    u64::from(number)
}

fn lay(bench: &mut Bench, product: Option<Product>, late: bool, random: &mut Random) {
    let turn = random.within(-1.0, 1.0) * product.map_or(0.5, Product::play);
    let scale = 0.355 * random.within(0.96, 1.04);
    let (mut x, mut y) = (0.5 + random.within(-0.035, 0.035), 0.5 + random.within(-0.035, 0.035));
    if late {
        let way = if random.chance(0.5) { 1.0 } else { -1.0 };
        let far = way * random.within(0.38, 0.5);
        if random.chance(0.5) { x += far } else { y += far }
    }
    bench.lay(x, y, turn, scale);
}

/// Specks of dust that good parts have too: smaller and fainter than any defect.
fn dust(bench: &mut Bench, random: &mut Random) {
    bench.in_pixels();
    let (side, grid) = (bench.side(), bench.grid());
    for _ in 0..random.below(5) {
        let shade = random.within(60.0, 190.0) as u8;
        let speck = Material { colour: [shade; 3], gloss: 0, grain: 0 };
        let spot = circle(random.unit() * side, random.unit() * side, random.within(0.4, 0.9) * grid);
        bench.coat(&spot, None, speck, 120, 110);
    }
}

/// The smallest box around all pixels where two pairs of layers differ visibly.
fn changed(layers: [(&[u8], &[u8]); 2], size: u32) -> Option<Box4> {
    let mut found: Option<Box4> = None;
    for i in 0..size * size {
        let at = 4 * i as usize;
        let differs =
            layers.iter().any(|(a, b)| a[at..at + 4].iter().zip(&b[at..at + 4]).any(|(p, q)| p.abs_diff(*q) > 24));
        if differs {
            let (x, y) = (i % size, i / size);
            let seen = found.get_or_insert(Box4 { x0: x, y0: y, x1: x + 1, y1: y + 1 });
            seen.x0 = seen.x0.min(x);
            seen.x1 = seen.x1.max(x + 1);
            seen.y1 = y + 1;
        }
    }
    found
}
