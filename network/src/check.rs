//! What must hold before a program is run: a program comes from a file, and may be anything.

use crate::curve::Curve;
use crate::error::NetworkError;
use crate::program::{Bounds, Element, Op, Order, Product, Program, Step, Tensor, Weights};
use crate::window::Window;

/// Most values of one tensor.
const MOST_VALUES: u64 = 1 << 30;

/// Widest range of integers that fits a byte.
const BYTE_RANGE: f32 = 255.0;

/// Refuses a program that cannot be run as it stands.
pub(crate) fn check(program: &Program) -> Result<(), NetworkError> {
    let mut made = vec![false; program.tensors.len()];
    let broken = |at: &str, what: &str| NetworkError::Malformed { at: at.to_owned(), what: what.to_owned() };
    for (number, tensor) in program.tensors.iter().enumerate() {
        let at = format!("tensor {number}");
        let extents = [tensor.rows, tensor.columns, tensor.channels].map(u64::from);
        let volume = extents.iter().try_fold(1_u64, |product, &e| product.checked_mul(e));
        if volume.is_none_or(|v| v == 0 || v > MOST_VALUES) {
            return Err(broken(&at, &format!("its extents are {extents:?}")));
        }
        if tensor.order == Order::Planes && tensor.element != Element::Real {
            return Err(broken(&at, "bytes lie in planes"));
        }
    }
    let known = |at: u32| usize::try_from(at).ok().filter(|&at| at < program.tensors.len());
    for &input in &program.inputs {
        let at = known(input).filter(|&at| !made[at] && program.tensors[at].element == Element::Real);
        made[at.ok_or_else(|| broken("the inputs", "one is no real tensor, or stands twice"))?] = true;
    }
    for step in &program.steps {
        if let Some(what) = fault(program, step, &made) {
            return Err(broken(&step.name, what));
        }
        made[step.output as usize] = true;
    }
    let ready = |&at: &u32| {
        known(at).is_some_and(|at| made[at] && program.tensors[at].element == Element::Real)
            && !program.inputs.contains(&at)
    };
    if !program.outputs.iter().all(ready) {
        return Err(broken("the outputs", "one is no real tensor that a step makes"));
    }
    Ok(())
}

/// What is wrong with a step, if anything.
fn fault(program: &Program, step: &Step, made: &[bool]) -> Option<&'static str> {
    let tensor = |at: u32| program.tensors.get(at as usize);
    if !step.inputs.iter().all(|&i| made.get(i as usize) == Some(&true)) {
        return Some("it reads a tensor that is not made yet");
    }
    let Some(output) = tensor(step.output).filter(|_| !made[step.output as usize]) else {
        return Some("it makes a tensor that is there already, or none");
    };
    let inputs: Vec<&Tensor> = step.inputs.iter().filter_map(|&i| tensor(i)).collect();
    let bytes = |t: &Tensor| matches!(t.element, Element::Byte { .. });
    let real = |t: &Tensor| t.element == Element::Real && t.order == Order::Pixels;
    let same = |a: &Tensor, b: &Tensor| (a.rows, a.columns, a.channels) == (b.rows, b.columns, b.channels);
    let spread = |a: &Tensor, b: &Tensor| same(a, b) || (b.positions() == 1 && a.channels == b.channels);
    let fits = |ok: bool| if ok { None } else { Some("its tensors do not fit together") };
    match (&step.op, &inputs[..]) {
        (Op::Quantise { step, bounds }, [a]) => fits(a.element == Element::Real && bytes(output) && same(a, output))
            .or(scale(*step))
            .or(whole(*bounds, output)),
        (Op::Dequantise { scale: factor }, [a]) => {
            fits(bytes(a) && output.element == Element::Real && same(a, output)).or(scale(*factor))
        }
        (Op::Arrange, [a]) => fits(
            a.element == Element::Real
                && output.element == Element::Real
                && a.volume() == output.volume()
                && (same(a, output) || a.order == output.order),
        ),
        (Op::Product(product), [a]) => self::product(product, a, output),
        (Op::Add { left, right, step, bounds }, [a, b]) => {
            fits(bytes(a) && bytes(b) && bytes(output) && same(a, b) && same(a, output))
                .or(scale(*left))
                .or(scale(*right))
                .or(scale(*step))
                .or(whole(*bounds, output))
        }
        (Op::Multiply { factor, bounds }, [a, b]) => {
            fits(bytes(a) && bytes(b) && bytes(output) && spread(a, b) && same(a, output))
                .or(scale(*factor))
                .or(whole(*bounds, output))
        }
        (Op::AddReal { bounds }, [a, b]) => {
            fits(real(a) && real(b) && real(output) && same(a, b) && same(a, output)).or(ordered(*bounds))
        }
        (Op::MultiplyReal, [a, b]) => fits(real(a) && real(b) && real(output) && spread(a, b) && same(a, output)),
        (Op::Curve(curve), [a]) => fits(real(a) && real(output) && same(a, output)).or(match *curve {
            Curve::Clamp { low, high } => ordered(Bounds { low, high }),
            _ => None,
        }),
        (Op::Lookup(table), [a]) => fits(bytes(a) && bytes(output) && same(a, output) && table.len() == 256),
        (Op::LookupReal(table), [a]) => fits(bytes(a) && real(output) && same(a, output) && table.len() == 256),
        (Op::Max(window), [a]) => {
            let zeros = bytes(a) && a.element == output.element || real(a) && real(output);
            fits(zeros && a.channels == output.channels).or(windows(window, a, output, true))
        }
        (Op::Mean { factor, bounds }, [a]) => {
            let kinds = bytes(a) || real(a) && real(output);
            let bounds = if bytes(output) { whole(*bounds, output) } else { ordered(*bounds) };
            let few = a.positions() < 1 << 22;
            fits(
                kinds
                    && few
                    && output.positions() == 1
                    && output.order == Order::Pixels
                    && a.channels == output.channels,
            )
            .or(scale(*factor))
            .or(bounds)
        }
        (Op::Average(pool), [a]) => {
            let bounds = if bytes(output) { whole(pool.bounds, output) } else { ordered(pool.bounds) };
            fits(bytes(a) && (bytes(output) || real(output)) && a.channels == output.channels)
                .or(scale(pool.factor))
                .or(bounds)
                .or(windows(&pool.window, a, output, false))
        }
        (Op::Fill { before }, [a]) => {
            let alike = a.element == output.element && a.order == Order::Pixels && output.order == Order::Pixels;
            let fits_in = before.checked_add(a.channels).is_some_and(|end| end <= output.channels);
            fits(alike && fits_in && (a.rows, a.columns) == (output.rows, output.columns))
        }
        (Op::Join, [first, ..]) => {
            let alike = |t: &&Tensor| {
                t.element == output.element
                    && t.order == Order::Pixels
                    && (t.rows, t.columns) == (output.rows, output.columns)
            };
            let channels: u64 = inputs.iter().map(|t| u64::from(t.channels)).sum();
            fits(
                alike(first)
                    && inputs.iter().all(alike)
                    && channels == u64::from(output.channels)
                    && output.order == Order::Pixels,
            )
        }
        _ => Some("it has another number of inputs"),
    }
}

fn scale(value: f32) -> Option<&'static str> {
    if value.is_finite() && value > 0.0 { None } else { Some("a scale is not a positive number") }
}

fn ordered(bounds: Bounds) -> Option<&'static str> {
    if bounds.low <= bounds.high { None } else { Some("its bounds are not in order") }
}

/// Bounds of a result that is bytes: whole, and inside a byte when the zero point is added.
fn whole(bounds: Bounds, output: &Tensor) -> Option<&'static str> {
    let Element::Byte { zero } = output.element else { return Some("its result is no bytes") };
    let Bounds { low, high } = bounds;
    let zero = f32::from(zero);
    let fits = low <= high
        && high - low <= BYTE_RANGE
        && low + zero >= -128.0
        && high + zero <= 127.0
        && low.fract() == 0.0
        && high.fract() == 0.0;
    if fits { None } else { Some("its bounds do not fit a byte") }
}

fn windows(window: &Window, input: &Tensor, output: &Tensor, full: bool) -> Option<&'static str> {
    let limits = window.kernel.iter().chain(&window.stride).chain(&window.dilation);
    if limits.clone().any(|&v| v == 0 || v > 1 << 12) || window.before.iter().any(|&v| v > 1 << 12) {
        return Some("its window is empty or beyond all measure");
    }
    if window.taps() > 1 << 20 {
        return Some("its window has more taps than sums can hold");
    }
    // Each window of a pooling sees a value, and none lies wholly beyond the image.
    for axis in [0, 1] {
        let reach = (window.kernel[axis] as usize - 1) * window.dilation[axis] as usize;
        let last = window.start(axis, output.extent(axis) - 1);
        let beyond = last >= input.extent(axis) as isize || (window.before[axis] as usize) > reach;
        if beyond && (full || last > (input.extent(axis) + reach) as isize) {
            return Some("its windows lie outside of the image");
        }
    }
    None
}

fn product(product: &Product, input: &Tensor, output: &Tensor) -> Option<&'static str> {
    let Product { window, groups, weights, bounds } = product;
    if *groups == 0 || !input.channels.is_multiple_of(*groups) || !output.channels.is_multiple_of(*groups) {
        return Some("its groups do not divide its channels");
    }
    if let Some(fault) = windows(window, input, output, false) {
        return Some(fault);
    }
    let channels = output.channels as usize;
    let length = (window.taps() as u64).checked_mul(u64::from(input.channels / groups));
    let count = length.and_then(|l| l.checked_mul(channels as u64));
    let all = |values: usize| count == Some(values as u64);
    let numbers = |values: &[f32]| values.iter().all(|v| v.is_finite());
    let fits = match weights {
        Weights::Bytes { values, bias, factors } => {
            let Element::Byte { .. } = input.element else { return Some("its input is no bytes") };
            let sums = all(values.len()) && bias.len() == channels && {
                let length = values.len() / channels;
                values.chunks_exact(length).zip(bias).all(|(weights, bias)| {
                    // The greatest magnitude that any sum on the way can have, the zero point's part included.
                    let magnitude: u64 = weights.iter().map(|w| u64::from(w.unsigned_abs())).sum();
                    magnitude.saturating_mul(256 + 128) + u64::from(bias.unsigned_abs()) < 1 << 31
                })
            };
            let factors = (factors.len() == 1 || factors.len() == channels)
                && numbers(factors)
                && factors.iter().all(|&f| f >= 0.0);
            let bounds = if output.element == Element::Real { ordered(*bounds) } else { whole(*bounds, output) };
            if bounds.is_some() {
                return bounds;
            }
            sums && factors && output.order == Order::Pixels
        }
        Weights::Reals { values, bias } => {
            let real = [input, output].iter().all(|t| t.element == Element::Real && t.order == Order::Pixels);
            if ordered(*bounds).is_some() {
                return ordered(*bounds);
            }
            real && all(values.len()) && bias.len() == channels && numbers(values) && numbers(bias)
        }
    };
    if fits { None } else { Some("its weights do not fit its tensors") }
}
