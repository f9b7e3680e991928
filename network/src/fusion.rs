//! Curves joined to the steps whose results they alone read: a step then computes both, the curve in place while the
//! values are still in the cache.

use crate::curve::Curve;
use crate::program::{Bounds, Op, Product, Program, Step};

/// Takes curves out of a checked program, where the step before can do their work: a clamping becomes its bounds where it
/// has some, any other curve is returned, by the tensor that it makes.
pub(crate) fn fuse(program: &mut Program) -> Vec<Option<Curve>> {
    let mut readers = vec![0_u32; program.tensors.len()];
    let read = program.steps.iter().flat_map(|step| &step.inputs).chain(&program.outputs);
    read.for_each(|&at| readers[at as usize] += 1);
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

/// Makes a clamping the bounds of a step of reals that has bounds.
fn narrowed(op: &mut Op, curve: Curve) -> bool {
    let (Op::AddReal { bounds } | Op::Product(Product { bounds, .. }), Curve::Clamp { .. }) = (op, curve) else {
        return false;
    };
    // One clamping after the other moves the bounds of the first as it moves any value.
    *bounds = Bounds { low: curve.at(bounds.low), high: curve.at(bounds.high) };
    true
}
