//! Weights and what belongs to them in the order in which kernels read them.

use crate::kernel::Shape;

/// Weights by group, block of columns, piece of `depth` values, column, filled up to the shape's columns and rows.
pub(crate) fn pack<W: Copy, P: Default + Copy>(
    weights: &[W],
    length: usize,
    width: usize,
    shape: Shape,
    convert: impl Fn(W) -> P,
) -> Vec<P> {
    let Shape { columns, depth, fill, .. } = shape;
    let stride = length.next_multiple_of(fill);
    let mut packed = Vec::with_capacity(weights.len() / length / width * width.next_multiple_of(columns) * stride);
    for group in weights.chunks_exact(length * width) {
        for first in (0..width).step_by(columns) {
            for start in (0..stride).step_by(depth) {
                for column in first..first + columns {
                    for at in start..stride.min(start + depth) {
                        let inside = column < width && at < length;
                        packed.push(if inside { convert(group[column * length + at]) } else { P::default() });
                    }
                }
            }
        }
    }
    packed
}

/// One value per column, each group filled up to whole blocks of columns.
pub(crate) fn padded<T: Copy + Default>(values: &[T], width: usize, columns: usize) -> Vec<T> {
    values
        .chunks_exact(width)
        .flat_map(|group| {
            let fill = width.next_multiple_of(columns) - width;
            group.iter().copied().chain(std::iter::repeat_n(T::default(), fill))
        })
        .collect()
}

/// Bias per column with what each value of the input is larger by taken off its sum. A column has `length` weights.
pub(crate) fn without_excess(bias: &[i32], weights: &[i8], length: usize, excess: i32) -> Vec<i32> {
    let sums = weights.chunks_exact(length).map(|w| w.iter().map(|&w| i32::from(w)).sum::<i32>());
    bias.iter().zip(sums).map(|(bias, sum)| bias - excess * sum).collect()
}

/// One factor per column, where all share one, too.
pub(crate) fn one_each(factors: &[f32], width: usize) -> Vec<f32> {
    if let &[factor] = factors { vec![factor; width] } else { factors.to_vec() }
}
