//! The order of the steps: what the first outputs need comes first, so that the rest can wait until it is asked for.

use crate::program::{Program, Step};

/// Sorts the steps of a checked program by the first output that needs them, leaves out what none needs, and gives for each
/// output how many steps make it and those before it. What reads a tensor that the caller gives is not put off: it may be
/// gone later.
pub(crate) fn schedule(program: &mut Program) -> Vec<usize> {
    let outputs = program.outputs.len();
    let mut needed = vec![outputs; program.tensors.len()];
    for (index, &output) in program.outputs.iter().enumerate().rev() {
        needed[output as usize] = index;
    }
    for step in program.steps.iter().rev() {
        let own = needed[step.output as usize];
        let given = own < outputs && step.inputs.iter().any(|input| program.inputs.contains(input));
        let own = if given { 0 } else { own };
        for tensor in step.inputs.iter().chain([&step.output]) {
            let needed = &mut needed[*tensor as usize];
            *needed = own.min(*needed);
        }
    }
    let first = |step: &Step| needed[step.output as usize];
    program.steps.retain(|step| first(step) < outputs);
    // A stable sort: what a step reads is needed no later than the step, and stood before it.
    program.steps.sort_by_key(first);
    (0..outputs).map(|index| program.steps.partition_point(|step| first(step) <= index)).collect()
}

#[cfg(test)]
mod tests {
    use super::schedule;
    use crate::program::{Element, Op, Order, Program, Step, Tensor};

    /// Steps as (inputs, output).
    fn program(steps: &[(&[u32], u32)], inputs: &[u32], outputs: &[u32]) -> Program {
        let tensor = Tensor { rows: 1, columns: 1, channels: 1, element: Element::Real, order: Order::Pixels };
        let step = |&(inputs, output): &(&[u32], u32)| {
            let name = output.to_string();
            Step { name, op: Op::Join, inputs: inputs.to_vec(), output }
        };
        let steps = steps.iter().map(step).collect();
        Program { tensors: vec![tensor; 9], steps, inputs: inputs.to_vec(), outputs: outputs.to_vec() }
    }

    fn order(mut program: Program) -> (Vec<u32>, Vec<usize>) {
        let counts = schedule(&mut program);
        (program.steps.iter().map(|step| step.output).collect(), counts)
    }

    #[test]
    fn the_first_outputs_come_first() {
        let steps: &[(&[u32], u32)] = &[(&[0], 1), (&[1], 2), (&[2], 3), (&[1], 4), (&[4], 5), (&[3, 1], 6)];
        assert_eq!(order(program(steps, &[0], &[5, 6])), (vec![1, 4, 5, 2, 3, 6], vec![3, 6]));
        assert_eq!(order(program(steps, &[0], &[6, 5])), (vec![1, 2, 3, 6, 4, 5], vec![4, 6]));
        assert_eq!(order(program(steps, &[0], &[6, 2, 5, 6])), (vec![1, 2, 3, 6, 4, 5], vec![4, 4, 6, 6]));
        assert_eq!(order(program(steps, &[0], &[4])), (vec![1, 4], vec![2]));
        assert_eq!(order(program(steps, &[0], &[])), (vec![], vec![]));
    }

    #[test]
    fn what_the_caller_gives_is_read_at_once() {
        let steps: &[(&[u32], u32)] = &[(&[0], 2), (&[2], 3), (&[3, 1], 4), (&[4], 5), (&[0], 6)];
        assert_eq!(order(program(steps, &[0, 1], &[6, 5])), (vec![2, 3, 4, 6, 5], vec![4, 5]));
        assert_eq!(order(program(steps, &[0, 1], &[6])), (vec![6], vec![1]));
    }
}
