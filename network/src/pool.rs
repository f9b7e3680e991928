//! Pooling: the greatest value or the mean, in a window or over all positions.

use crate::kernel::Kernels;
use crate::program::{Pool, Tensor};
use crate::window::Window;

/// Places of the input values that one output sees, where they lie inside the image.
fn seen(window: &Window, input: &Tensor, y: usize, x: usize) -> impl Iterator<Item = usize> {
    let (window, input) = (*window, *input);
    let [rows, columns] = window.kernel.map(|k| k as usize);
    (0..rows).filter_map(move |row| window.source(0, y, row, input.extent(0))).flat_map(move |row| {
        (0..columns)
            .filter_map(move |column| window.source(1, x, column, input.extent(1)))
            .map(move |column| (row * input.extent(1) + column) * input.channels as usize)
    })
}

/// Each output position with the values that it makes.
fn positions<'o, Y>(output: &Tensor, out: &'o mut [Y]) -> impl Iterator<Item = (usize, usize, &'o mut [Y])> {
    let columns = output.extent(1);
    out.chunks_exact_mut(output.channels as usize).enumerate().map(move |(at, out)| (at / columns, at % columns, out))
}

/// Greatest bytes.
pub(crate) fn max_bytes(kernels: &Kernels, window: &Window, shapes: [&Tensor; 2], input: &[i8], out: &mut [i8]) {
    let [from, to] = shapes;
    for (y, x, out) in positions(to, out) {
        out.fill(i8::MIN);
        for place in seen(window, from, y, x) {
            // SAFETY: the table belongs to a processor that this machine is.
            #[expect(unsafe_code, reason = "calls a kernel of this processor")]
            unsafe {
                (kernels.greatest)(&input[place..][..out.len()], out);
            }
        }
    }
}

/// Greatest reals. What is no number wins, so that it stays visible.
pub(crate) fn max_reals(window: &Window, shapes: [&Tensor; 2], input: &[f32], out: &mut [f32]) {
    let [from, to] = shapes;
    for (y, x, out) in positions(to, out) {
        out.fill(f32::NEG_INFINITY);
        for place in seen(window, from, y, x) {
            for (out, &value) in out.iter_mut().zip(&input[place..]) {
                *out = if value > *out || value.is_nan() { value } else { *out };
            }
        }
    }
}

/// Sums over all positions, zero point taken off.
pub(crate) fn sums(kernels: &Kernels, from: &Tensor, zero: i8, input: &[i8], sums: &mut [i32]) {
    let count = i32::try_from(from.positions()).unwrap_or(i32::MAX);
    sums.fill(-count * i32::from(zero));
    // SAFETY: the table belongs to a processor that this machine is.
    #[expect(unsafe_code, reason = "calls a kernel of this processor")]
    unsafe {
        (kernels.column_sums)(input, sums);
    }
}

/// `factor · Σ x` over all positions, in the order of the positions.
pub(crate) fn mean_reals(factor: f32, input: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    for row in input.chunks_exact(out.len()) {
        out.iter_mut().zip(row).for_each(|(out, value)| *out += value);
    }
    for out in out {
        *out *= factor;
    }
}

/// For each output position the sums in its window, zero point taken off, and the factor that makes a mean of them.
pub(crate) fn averages<Y>(
    pool: &Pool,
    shapes: [&Tensor; 2],
    zero: i8,
    input: &[i8],
    sums: &mut [i32],
    out: &mut [Y],
    mut finish: impl FnMut(&[i32], f32, &mut [Y]),
) {
    let [from, to] = shapes;
    let all = pool.window.taps();
    for (y, x, out) in positions(to, out) {
        sums.fill(0);
        let mut count = 0;
        for place in seen(&pool.window, from, y, x) {
            count += 1;
            for (sum, &value) in sums.iter_mut().zip(&input[place..]) {
                *sum += i32::from(value) - i32::from(zero);
            }
        }
        finish(sums, pool.factor / if pool.padded { all } else { count.max(1) } as f32, out);
    }
}
