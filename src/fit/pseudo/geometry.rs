//! Faults of shape: tiles in another order, a leaning part.

use super::Canvas;
use crate::seed::Seed;

pub(super) fn shuffle(canvas: &mut Canvas, seed: &mut Seed) {
    let tiles = 3 + seed.below(2);
    let (width, height) = (canvas.width / tiles, canvas.height / tiles);
    if width == 0 || height == 0 {
        return;
    }
    let source = canvas.rgb.clone();
    // A single cycle (Sattolo 1986): every tile leaves its place.
    let mut order: Vec<usize> = (0..tiles * tiles).collect();
    for last in (1..order.len()).rev() {
        order.swap(last, seed.below(last));
    }
    for (to, &from) in order.iter().enumerate() {
        let (to_x, to_y) = (to % tiles * width, to / tiles * height);
        let (from_x, from_y) = (from % tiles * width, from / tiles * height);
        for row in 0..height {
            let target = ((to_y + row) * canvas.width + to_x) * 3;
            let start = ((from_y + row) * canvas.width + from_x) * 3;
            canvas.rgb[target..target + width * 3].copy_from_slice(&source[start..start + width * 3]);
        }
    }
}

pub(super) fn shear(canvas: &mut Canvas, seed: &mut Seed) {
    // Tangents of 15 and 30 degrees.
    let lean = seed.between(0.27, 0.58) * if seed.coin() { 1.0 } else { -1.0 };
    let across = seed.coin();
    let source = Canvas { width: canvas.width, height: canvas.height, rgb: canvas.rgb.clone() };
    let middle = if across { canvas.height } else { canvas.width } as f32 / 2.0;
    for y in 0..canvas.height {
        for x in 0..canvas.width {
            let along = if across { y } else { x } as f32 + 0.5 - middle;
            let shift = (lean * along).round() as isize;
            let (from_x, from_y) = if across { (shift, 0) } else { (0, shift) };
            canvas.set(x, y, source.get(x as isize + from_x, y as isize + from_y));
        }
    }
}
