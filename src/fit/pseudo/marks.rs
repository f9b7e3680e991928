//! Faults of the surface: foreign patches, lines, stains, missing and covered parts.

use super::{Area, Canvas, byte};
use crate::seed::Seed;

pub(super) fn cut_paste(canvas: &mut Canvas, other: &Canvas, seed: &mut Seed) {
    let shares = [seed.between(0.15, 0.35), seed.between(0.15, 0.35)];
    let to = canvas.place(shares, seed);
    let from = other.place(shares, seed);
    // Turned upside down, so that a patch of an aligned part is foreign even where it came from.
    for y in 0..to.height {
        for x in 0..to.width {
            let source_x = from.x + from.width - 1 - (x * from.width / to.width);
            let source_y = from.y + from.height - 1 - (y * from.height / to.height);
            canvas.set(to.x + x, to.y + y, other.get(source_x as isize, source_y as isize));
        }
    }
}

/// A colour 50 to 100 levels away from the one there in brightness, light or dark.
fn contrast(there: [u8; 3], seed: &mut Seed) -> [u8; 3] {
    let brightness = there.iter().map(|&v| f32::from(v)).sum::<f32>() / 3.0;
    let away = seed.between(50.0, 100.0);
    let light = brightness + away <= 255.0 && (brightness - away < 0.0 || seed.coin());
    let target = if light { brightness + away } else { brightness - away };
    std::array::from_fn(|_| byte(target + seed.between(-12.0, 12.0)))
}

pub(super) fn scratch(canvas: &mut Canvas, seed: &mut Seed) {
    for _ in 0..=seed.below(3) {
        let length = seed.between(0.3, 0.7) * canvas.width.max(canvas.height) as f32;
        let radius = (seed.between(0.005, 0.012) * canvas.shorter()).max(0.7);
        // Half of it lies around a point of the middle, where the part is.
        let middle = [canvas.width as f32 * seed.between(0.3, 0.7), canvas.height as f32 * seed.between(0.3, 0.7)];
        let (sine, cosine) = seed.between(0.0, std::f32::consts::PI).sin_cos();
        let bend = seed.between(-0.15, 0.15) * length;
        let under = canvas.get(middle[0] as isize, middle[1] as isize);
        let colour = contrast(under, seed);
        let steps = (length * 2.0).ceil().max(1.0) as usize;
        for step in 0..=steps {
            let along = step as f32 / steps as f32 - 0.5;
            let aside = bend * (1.0 - 4.0 * along * along);
            let x = middle[0] + along * length * cosine - aside * sine;
            let y = middle[1] + along * length * sine + aside * cosine;
            disc(canvas, [x, y], radius, colour);
        }
    }
}

fn disc(canvas: &mut Canvas, [x, y]: [f32; 2], radius: f32, colour: [u8; 3]) {
    for_each_near(canvas, [x, y], [radius, radius], |canvas, px, py, distance| {
        if distance <= 1.0 {
            canvas.set(px, py, colour);
        }
    });
}

/// Calls for every pixel of the ellipse's bounding box with the distance from its centre, 1 on its edge.
fn for_each_near(
    canvas: &mut Canvas,
    [x, y]: [f32; 2],
    radii: [f32; 2],
    mut draw: impl FnMut(&mut Canvas, usize, usize, f32),
) {
    let span = |middle: f32, radius: f32, end: usize| {
        let first = (middle - radius).floor().max(0.0) as usize;
        let last = ((middle + radius).ceil().max(0.0) as usize).min(end);
        first.min(end)..last
    };
    for py in span(y, radii[1], canvas.height) {
        for px in span(x, radii[0], canvas.width) {
            let dx = (px as f32 + 0.5 - x) / radii[0];
            let dy = (py as f32 + 0.5 - y) / radii[1];
            draw(canvas, px, py, dx.hypot(dy));
        }
    }
}

pub(super) fn blob(canvas: &mut Canvas, seed: &mut Seed) {
    for _ in 0..=seed.below(3) {
        let x = canvas.width as f32 * seed.between(0.2, 0.8);
        let y = canvas.height as f32 * seed.between(0.2, 0.8);
        let radii = [(); 2].map(|()| (canvas.shorter() * seed.between(0.05, 0.12)).max(0.8));
        let mut colour = contrast(canvas.get(x as isize, y as isize), seed);
        let tinted = seed.below(3);
        colour[tinted] = byte(f32::from(colour[tinted]) + seed.between(-40.0, 40.0));
        for_each_near(canvas, [x, y], radii, |canvas, px, py, distance| {
            // Full in the inner 60 %, then fading to the edge.
            let share = ((1.0 - distance) / 0.4).clamp(0.0, 1.0);
            canvas.mix(px, py, colour, share * 0.9);
        });
    }
}

pub(super) fn missing(canvas: &mut Canvas, seed: &mut Seed) {
    let ground = canvas.mean(true);
    let shares = [seed.between(0.3, 0.5), seed.between(0.3, 0.5)];
    let mut area = canvas.place(shares, seed);
    // Kept near the middle, where the part is and not the ground.
    area.x = area.x.midpoint((canvas.width - area.width) / 2);
    area.y = area.y.midpoint((canvas.height - area.height) / 2);
    fill(canvas, area, ground, 6.0, seed);
}

pub(super) fn occlusion(canvas: &mut Canvas, seed: &mut Seed) {
    let deep = seed.between(0.25, 0.45);
    let corner = seed.coin();
    let shares = match (corner, seed.coin()) {
        (true, _) => [deep + 0.15; 2],
        (false, true) => [deep, 1.0],
        (false, false) => [1.0, deep],
    };
    let mut area = canvas.place(shares, seed);
    if seed.coin() {
        (area.x, area.y) = (0, 0);
    } else {
        (area.x, area.y) = (canvas.width - area.width, canvas.height - area.height);
    }
    let brightness = canvas.mean(false).iter().map(|&v| u32::from(v)).sum::<u32>() / 3;
    // Dark, unless the picture is: then light.
    let tone = if brightness > 45 { seed.between(5.0, 30.0) } else { seed.between(140.0, 190.0) };
    fill(canvas, area, [byte(tone), byte(tone * 0.9), byte(tone * 0.8)], 5.0, seed);
}

/// Fills with a colour and a grain of that amplitude, since no camera gives a perfectly plain area.
fn fill(canvas: &mut Canvas, area: Area, colour: [u8; 3], grain: f32, seed: &mut Seed) {
    for y in area.y..area.y + area.height {
        for x in area.x..area.x + area.width {
            let light = seed.between(-grain, grain);
            canvas.set(x, y, colour.map(|value| byte(f32::from(value) + light)));
        }
    }
}
