//! Curves joined to the steps whose results they alone read: a step then computes both, the curve in place while the
//! values are still in the cache.

use crate::curve::Curve;
use crate::program::{Bounds, Op, Product, Program, Step};

/// Takes curves out of a checked program, where the step before can do their work: a clamping becomes its bounds where it
/// has some, any other curve is returned, by the tensor that it makes.
pub(crate) fn fuse(program: &mut Program) -> Vec<Option<Curve>> {
    gate(program);
    let readers = readers(program);
    let mut curves = vec![None; program.tensors.len()];
    // Place of the step that makes a tensor, among those that are kept.
    let mut makers: Vec<Option<usize>> = vec![None; program.tensors.len()];
    let mut kept: Vec<Step> = Vec::with_capacity(program.steps.len());
    for step in std::mem::take(&mut program.steps) {
        let before = makers[step.inputs[0] as usize].filter(|_| readers[step.inputs[0] as usize] == 1);
        if let (&Op::Curve(curve), Some(at)) = (&step.op, before) {
            let maker = &mut kept[at];
            if curves[maker.output as usize].is_none() {
                if !narrowed(&mut maker.op, curve) {
                    curves[step.output as usize] = Some(curve);
                }
                (maker.name, maker.output) = (step.name, step.output);
                makers[step.output as usize] = Some(at);
                continue;
            }
        }
        makers[step.output as usize] = Some(kept.len());
        kept.push(step);
    }
    program.steps = kept;
    curves
}

/// How often each tensor is read.
fn readers(program: &Program) -> Vec<u32> {
    let mut readers = vec![0; program.tensors.len()];
    let read = program.steps.iter().flat_map(|step| &step.inputs).chain(&program.outputs);
    read.for_each(|&at| readers[at as usize] += 1);
    readers
}

/// Makes one curve of a value times a sigmoid of it that nothing else reads.
fn gate(program: &mut Program) {
    let readers = readers(program);
    let mut gates: Vec<Option<(u32, Curve)>> = vec![None; program.tensors.len()];
    for step in &mut program.steps {
        if let &Op::Curve(curve) = &step.op {
            gates[step.output as usize] = gated(curve).map(|curve| (step.inputs[0], curve));
        }
        let (Op::MultiplyReal, &[a, b]) = (&step.op, &step.inputs[..]) else { continue };
        let found = [(a, b), (b, a)].into_iter().find_map(|(value, gate)| {
            let (of, curve) = gates[gate as usize].filter(|_| readers[gate as usize] == 1)?;
            (of == value).then_some((value, curve))
        });
        if let Some((value, curve)) = found {
            (step.op, step.inputs) = (Op::Curve(curve), vec![value]);
        }
    }
    let left = self::readers(program);
    program.steps.retain(|step| gates[step.output as usize].is_none() || left[step.output as usize] > 0);
}

/// A value times this curve of it, as a curve with the same bits.
fn gated(curve: Curve) -> Option<Curve> {
    const SWISH: Curve = Curve::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 };
    match curve {
        Curve::Sigmoid => Some(Curve::Silu),
        curve if curve == SWISH => Some(Curve::HardSwish),
        _ => None,
    }
}

/// Makes a clamping the bounds of a step of reals that has bounds.
fn narrowed(op: &mut Op, curve: Curve) -> bool {
    let (Op::AddReal { bounds } | Op::Product(Product { bounds, .. }), Curve::Clamp { .. }) = (op, curve) else {
        return false;
    };
    // One clamping after the other moves the bounds of the first as it moves any value.
    *bounds = Bounds { low: curve.at(bounds.low), high: curve.at(bounds.high) };
    true
}
