//! Faults of the camera and its light: focus, motion, exposure, colour, grain.

use super::{Canvas, byte};
use crate::seed::Seed;

pub(super) fn blur(canvas: &mut Canvas, seed: &mut Seed) {
    let radius = ((canvas.shorter() * seed.between(0.015, 0.035)).round() as usize).max(1);
    // Three box passes come close to a Gaussian (central limit).
    for _ in 0..3 {
        box_pass(canvas, radius, [1, 0]);
        box_pass(canvas, radius, [0, 1]);
    }
}

/// The mean of `2·radius + 1` pixels along one axis, borders repeated, by a running sum.
fn box_pass(canvas: &mut Canvas, radius: usize, [across, down]: [isize; 2]) {
    let source = Canvas { width: canvas.width, height: canvas.height, rgb: canvas.rgb.clone() };
    let (lines, length) = if across == 1 { (canvas.height, canvas.width) } else { (canvas.width, canvas.height) };
    let radius = radius as isize;
    let span = (2 * radius + 1) as u32;
    for line in 0..lines as isize {
        let pixel = |at: isize| source.get(at * across + line * down, at * down + line * across);
        let mut sum = [0u32; 3];
        for at in -radius..=radius {
            (0..3).for_each(|c| sum[c] += u32::from(pixel(at)[c]));
        }
        for at in 0..length as isize {
            let mean = sum.map(|sum| ((sum + span / 2) / span) as u8);
            let (x, y) = (at * across + line * down, at * down + line * across);
            canvas.set(x as usize, y as usize, mean);
            let (entering, leaving) = (pixel(at + radius + 1), pixel(at - radius));
            (0..3).for_each(|c| sum[c] = sum[c] + u32::from(entering[c]) - u32::from(leaving[c]));
        }
    }
}

pub(super) fn motion(canvas: &mut Canvas, seed: &mut Seed) {
    let source = Canvas { width: canvas.width, height: canvas.height, rgb: canvas.rgb.clone() };
    let length = (canvas.shorter() * seed.between(0.07, 0.14)).max(3.0);
    let (sine, cosine) = seed.between(0.0, std::f32::consts::PI).sin_cos();
    let count = length.ceil() as u32;
    let steps: Vec<[isize; 2]> = (0..count)
        .map(|step| {
            let along = (step as f32 / (count - 1) as f32 - 0.5) * length;
            [(along * cosine).round() as isize, (along * sine).round() as isize]
        })
        .collect();
    for y in 0..canvas.height {
        for x in 0..canvas.width {
            let mut sum = [0u32; 3];
            for [dx, dy] in &steps {
                let pixel = source.get(x as isize + dx, y as isize + dy);
                (0..3).for_each(|c| sum[c] += u32::from(pixel[c]));
            }
            canvas.set(x, y, sum.map(|sum| ((sum + count / 2) / count) as u8));
        }
    }
}

fn each(canvas: &mut Canvas, mut change: impl FnMut(usize, f32) -> f32) {
    for (index, value) in canvas.rgb.iter_mut().enumerate() {
        *value = byte(change(index % 3, f32::from(*value)));
    }
}

pub(super) fn dark(canvas: &mut Canvas, seed: &mut Seed) {
    let gain = seed.between(0.3, 0.5);
    each(canvas, |_, value| value * gain);
}

pub(super) fn overexposed(canvas: &mut Canvas, seed: &mut Seed) {
    let (gain, glare) = (seed.between(1.3, 1.7), seed.between(10.0, 30.0));
    each(canvas, |_, value| value * gain + glare);
}

pub(super) fn cast(canvas: &mut Canvas, seed: &mut Seed) {
    let stronger = seed.below(3);
    let weaker = (stronger + 1 + seed.below(2)) % 3;
    let mut gains = [1.0; 3];
    gains[stronger] = seed.between(1.1, 1.3);
    gains[weaker] = seed.between(0.7, 0.85);
    each(canvas, |channel, value| value * gains[channel]);
}

pub(super) fn noise(canvas: &mut Canvas, seed: &mut Seed) {
    let deviation = seed.between(14.0, 26.0);
    // Four uniform numbers of −width..width have the variance 4·width²/3 in sum.
    let width = deviation * 3f32.sqrt() / 2.0;
    each(canvas, |_, value| value + (0..4).map(|_| seed.between(-width, width)).sum::<f32>());
}
