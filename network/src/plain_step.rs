//! Steps that are no products: rounding, adding, multiplying, pooling, joining, and tables.

use crate::curve::Curve;
use crate::kernel::{Finish, Kernels, Sum};
use crate::pool;
use crate::program::{Bounds, Element, Op, Order, Tensor};

/// Pixels and planes that are rounded before they are brought into the order of pixels.
const PIECE: usize = 256;
const PLANES: usize = 4;

/// Values that are copied before a curve is drawn through them: they stay in the first cache.
const RUN: usize = 2048;

/// What a step knows of its tensors.
pub(crate) struct Context<'a> {
    pub(crate) kernels: &'static Kernels,
    pub(crate) prepared: &'a [Tensor],
    /// Numbers of what the step reads.
    pub(crate) inputs: &'a [u32],
    /// The first of them.
    pub(crate) input: Tensor,
    pub(crate) output: Tensor,
}

impl Context<'_> {
    fn zero(tensor: Tensor) -> i8 {
        match tensor.element {
            Element::Byte { zero } => zero,
            Element::Real => 0,
        }
    }

    /// Zero points of both inputs.
    fn zeros(&self) -> [i8; 2] {
        let second = self.inputs.get(1).map_or(self.input, |&at| self.prepared[at as usize]);
        [Self::zero(self.input), Self::zero(second)]
    }

    fn finish<'f>(&self, factors: &'f [f32], bounds: Bounds) -> Finish<'f> {
        let Bounds { low, high } = bounds;
        let (columns, zero) = (factors.len(), Self::zero(self.output));
        Finish { width: columns, rows: 1, columns, factors, low, high, zero, stride: columns }
    }
}

#[expect(unsafe_code, reason = "calls kernels of this processor")]
pub(crate) fn bytes_to_bytes<'a>(
    context: &Context<'_>,
    op: &Op,
    part: impl Fn(u32) -> &'a [i8],
    sums: &mut [i32],
    out: &mut [i8],
) {
    let Context { kernels, inputs, input: from, output, .. } = context;
    let (input, zeros) = (part(inputs[0]), context.zeros());
    // SAFETY: the table belongs to a processor that this machine is.
    unsafe {
        match op {
            Op::Add { left, right, step, bounds: Bounds { low, high } } => {
                let zero = Context::zero(*output);
                let sum = Sum { zeros, scales: [*left, *right], step: *step, low: *low, high: *high, zero };
                (kernels.add)(input, part(inputs[1]), &sum, out);
            }
            Op::Multiply { factor, bounds } => {
                let other = part(inputs[1]);
                let finish = context.finish(std::slice::from_ref(factor), *bounds);
                for (input, out) in input.chunks_exact(other.len()).zip(out.chunks_exact_mut(other.len())) {
                    (kernels.multiply)(input, other, zeros, &finish, out);
                }
            }
            Op::Lookup(table) => {
                for (out, &value) in out.iter_mut().zip(input) {
                    *out = table[place(value)];
                }
            }
            Op::Max(window) => pool::max_bytes(kernels, window, [from, output], input, out),
            Op::Mean { factor, bounds } => {
                let sums = &mut sums[..out.len()];
                pool::sums(kernels, from, zeros[0], input, sums);
                requantise(context, sums, *factor, *bounds, out);
            }
            Op::Average(pool) => {
                let sums = &mut sums[..from.channels as usize];
                pool::averages(pool, [from, output], zeros[0], input, sums, out, |sums, factor, out| {
                    requantise(context, sums, factor, pool.bounds, out);
                });
            }
            Op::Fill { before } => fill(context, *before, input, zeros[0], out),
            Op::Join => join(context, part, out),
            _ => unreachable!("checked with the program"),
        }
    }
}

/// Bytes from sums with one factor.
#[expect(unsafe_code, reason = "calls a kernel of this processor")]
fn requantise(context: &Context<'_>, sums: &[i32], factor: f32, bounds: Bounds, out: &mut [i8]) {
    let factors = [factor; 64];
    for (sums, out) in sums.chunks(64).zip(out.chunks_mut(64)) {
        let finish = context.finish(&factors[..out.len()], bounds);
        // SAFETY: the table belongs to a processor that this machine is.
        unsafe { (context.kernels.requantise)(sums, &finish, out) }
    }
}

pub(crate) fn bytes_to_reals(context: &Context<'_>, op: &Op, input: &[i8], sums: &mut [i32], out: &mut [f32]) {
    let zero = Context::zero(context.input);
    match op {
        Op::Dequantise { scale } => {
            let real = |byte: i8| f32::from(i16::from(byte) - i16::from(zero)) * scale;
            if context.output.order == Order::Pixels {
                out.iter_mut().zip(input).for_each(|(out, &byte)| *out = real(byte));
            } else {
                turn(input, context.input.channels as usize, out, context.input.positions(), real);
            }
        }
        Op::LookupReal(table) => {
            for (out, &value) in out.iter_mut().zip(input) {
                *out = table[place(value)];
            }
        }
        Op::Mean { factor, bounds } => {
            let sums = &mut sums[..out.len()];
            pool::sums(context.kernels, &context.input, zero, input, sums);
            for (out, &sum) in out.iter_mut().zip(sums.iter()) {
                *out = (sum as f32 * factor).clamp(bounds.low, bounds.high);
            }
        }
        Op::Average(pool) => {
            let Bounds { low, high } = pool.bounds;
            let shapes = [&context.input, &context.output];
            let sums = &mut sums[..context.input.channels as usize];
            pool::averages(pool, shapes, zero, input, sums, out, |sums, factor, out| {
                out.iter_mut().zip(sums).for_each(|(out, &sum)| *out = (sum as f32 * factor).clamp(low, high));
            });
        }
        _ => unreachable!("checked with the program"),
    }
}

#[expect(unsafe_code, reason = "calls kernels of this processor")]
pub(crate) fn reals_to_bytes(context: &Context<'_>, op: &Op, input: &[f32], out: &mut [i8]) {
    let Op::Quantise { step, bounds } = op else { unreachable!("checked with the program") };
    let finish = context.finish(&[], *bounds);
    let channels = context.input.channels as usize;
    // SAFETY: the table belongs to a processor that this machine is.
    unsafe {
        if context.input.order == Order::Pixels || channels == 1 {
            (context.kernels.quantise)(input, *step, &finish, out);
            return;
        }
        // In pieces of some planes, so that the rounding stays vectorised.
        let mut pieces = [0_i8; PIECE * PLANES];
        let plane = out.len() / channels;
        for (out, first) in out.chunks_mut(PIECE * channels).zip((0..plane).step_by(PIECE)) {
            let length = out.len() / channels;
            for start in (0..channels).step_by(PLANES) {
                let count = PLANES.min(channels - start);
                let pieces = &mut pieces[..count * length];
                for (at, piece) in pieces.chunks_exact_mut(length).enumerate() {
                    (context.kernels.quantise)(&input[(start + at) * plane + first..][..length], *step, &finish, piece);
                }
                turn(pieces, length, &mut out[start..], channels, |x| x);
            }
        }
    }
}

#[expect(unsafe_code, reason = "calls kernels of this processor")]
pub(crate) fn reals_to_reals<'a>(context: &Context<'_>, op: &Op, part: impl Fn(u32) -> &'a [f32], out: &mut [f32]) {
    let Context { kernels, inputs, input: from, output, .. } = context;
    let input = part(inputs[0]);
    match op {
        Op::Arrange if from.order == output.order => out.copy_from_slice(input),
        Op::Arrange => {
            let (channels, positions) = (from.channels as usize, from.positions());
            let planes = output.order == Order::Planes;
            let [width, stride] = if planes { [channels, positions] } else { [positions, channels] };
            turn(input, width, out, stride, |x| x);
        }
        Op::AddReal { bounds } => {
            // SAFETY: the table belongs to a processor that this machine is.
            unsafe { (kernels.add_real)(input, part(inputs[1]), [bounds.low, bounds.high], out) }
        }
        Op::MultiplyReal => {
            let other = part(inputs[1]);
            for (out, input) in out.chunks_exact_mut(other.len()).zip(input.chunks_exact(other.len())) {
                out.iter_mut().zip(input).zip(other).for_each(|((out, a), b)| *out = a * b);
            }
        }
        Op::Curve(curve) => {
            for (out, input) in out.chunks_mut(RUN).zip(input.chunks(RUN)) {
                out.copy_from_slice(input);
                curved(kernels, *curve, out);
            }
        }
        Op::Max(window) => pool::max_reals(window, [from, output], input, out),
        Op::Mean { factor, .. } => pool::mean_reals(*factor, input, out),
        Op::Fill { before } => fill(context, *before, input, 0.0, out),
        Op::Join => join(context, part, out),
        _ => unreachable!("checked with the program"),
    }
}

/// A function of each real, in place.
#[expect(unsafe_code, reason = "calls a kernel of this processor")]
pub(crate) fn curved(kernels: &Kernels, curve: Curve, values: &mut [f32]) {
    // SAFETY: the table belongs to a processor that this machine is.
    unsafe { (kernels.curve)(curve, values) }
}

/// Place of a byte in a table that begins with −128.
fn place(value: i8) -> usize {
    usize::from(value.cast_unsigned() ^ 0x80)
}

/// Column by column what lies row by row, `width` values each; in the result, columns begin `stride` values apart.
fn turn<X: Copy, Y>(values: &[X], width: usize, out: &mut [Y], stride: usize, convert: impl Fn(X) -> Y) {
    let rows = values.len() / width;
    if rows == 3 && stride == 3 {
        // The planes of a colour image.
        let (red, others) = values.split_at(width);
        let (green, blue) = others.split_at(width);
        for (((out, &r), &g), &b) in out.chunks_exact_mut(3).zip(red).zip(green).zip(blue) {
            for (out, value) in out.iter_mut().zip([r, g, b]) {
                *out = convert(value);
            }
        }
        return;
    }
    for (column, out) in out.chunks_mut(stride).enumerate() {
        let values = values[column..].iter().step_by(width);
        out.iter_mut().zip(values).for_each(|(out, &value)| *out = convert(value));
    }
}

/// The channels of each pixel within more of them.
fn fill<T: Copy>(context: &Context<'_>, before: u32, input: &[T], zero: T, out: &mut [T]) {
    let (channels, first) = (context.input.channels as usize, before as usize);
    for (out, values) in out.chunks_exact_mut(context.output.channels as usize).zip(input.chunks_exact(channels)) {
        out.fill(zero);
        out[first..first + channels].copy_from_slice(values);
    }
}

/// Channels of all parts behind one another, pixel by pixel.
fn join<'a, T: Copy + 'a>(context: &Context<'_>, part: impl Fn(u32) -> &'a [T], out: &mut [T]) {
    let all = context.output.channels as usize;
    let mut first = 0;
    for &input in context.inputs {
        let channels = context.prepared[input as usize].channels as usize;
        for (out, values) in out.chunks_exact_mut(all).zip(part(input).chunks_exact(channels)) {
            out[first..first + channels].copy_from_slice(values);
        }
        first += channels;
    }
}
