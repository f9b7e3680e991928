//! Where each tensor lies while it lives: one block of bytes and one of reals, in which places are used again.

use std::ops::Range;

use crate::program::{Element, Program};

/// Places of all tensors, and the sizes of the two blocks.
pub(crate) struct Arena {
    /// By tensor; empty for what the caller gives.
    pub(crate) places: Vec<Range<usize>>,
    pub(crate) bytes: usize,
    pub(crate) reals: usize,
}

/// Places begin at multiples of this, so that no two share a line of the cache.
const ALIGN: usize = 64;

impl Arena {
    /// Plans a checked program: first fit, in the order in which tensors are made.
    pub(crate) fn plan(program: &Program) -> Arena {
        let mut last = vec![0; program.tensors.len()];
        for (at, step) in program.steps.iter().enumerate() {
            step.inputs.iter().for_each(|&input| last[input as usize] = at);
        }
        program.outputs.iter().for_each(|&output| last[output as usize] = program.steps.len());
        let mut arena = Arena { places: vec![0..0; program.tensors.len()], bytes: 0, reals: 0 };
        // Living tensors by kind, ordered by place.
        let mut living: [Vec<u32>; 2] = [vec![], vec![]];
        for (at, step) in program.steps.iter().enumerate() {
            let tensor = &program.tensors[step.output as usize];
            let kind = usize::from(tensor.element == Element::Real);
            let living = &mut living[kind];
            // A tensor that the running step reads still lives.
            living.retain(|&t| last[t as usize] >= at);
            let size = tensor.volume().next_multiple_of(ALIGN);
            let mut start = 0;
            let mut index = 0;
            for &other in living.iter() {
                let place = &arena.places[other as usize];
                if place.start >= start + size {
                    break;
                }
                start = start.max(place.end.next_multiple_of(ALIGN));
                index += 1;
            }
            living.insert(index, step.output);
            arena.places[step.output as usize] = start..start + tensor.volume();
            let end = if kind == 1 { &mut arena.reals } else { &mut arena.bytes };
            *end = (*end).max(start + size);
        }
        arena
    }
}
