//! Weights in the order in which the kernels of products read them.

use crate::kernel::Shape;

/// Weights by group, block of columns, piece of `depth` values, column.
pub(crate) fn pack<W: Copy, P: Default + Copy>(
    weights: &[W],
    length: usize,
    width: usize,
    shape: Shape,
    convert: impl Fn(W) -> P,
) -> Vec<P> {
    let Shape { columns, depth, .. } = shape;
    let stride = length.next_multiple_of(depth);
    let mut packed = Vec::with_capacity(weights.len() / length / width * width.next_multiple_of(columns) * stride);
    for group in weights.chunks_exact(length * width) {
        for first in (0..width).step_by(columns) {
            for start in (0..stride).step_by(depth) {
                for column in first..first + columns {
                    for at in start..start + depth {
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
