//! Outputs are computed as far as they are asked for, and none of an earlier image can be read.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "bytes and windows belong to other tests")]
mod trial;

use std::sync::Arc;

use shelfwatch_network::{Bounds, Curve, Element, Input, Machine, Op, Order, Prepared, Program, Step, Tensor};
use trial::{Random, here, tensor};

const SHAPE: [usize; 3] = [9, 7, 16];

/// Tensors of one shape as large as the image, and two means: the outputs are a mean, planes of what it is the mean of, what
/// the planes' way left behind, and a mean of that. Its steps stand in an order in which no output could be put off.
fn network() -> Program {
    let pixels = tensor(SHAPE, Element::Real);
    let planes = Tensor { order: Order::Planes, ..pixels };
    let mean = tensor([1, 1, SHAPE[2]], Element::Real);
    let step =
        |op: Op, inputs: &[u32], output: u32| Step { name: output.to_string(), op, inputs: inputs.to_vec(), output };
    let add = || Op::AddReal { bounds: Bounds { low: -1.5, high: 1.5 } };
    let average = || Op::Mean { factor: 1.0 / 63.0, bounds: Bounds::NONE };
    let steps = vec![
        step(Op::Arrange, &[0], 1),
        step(Op::Curve(Curve::HardSwish), &[1], 2),
        step(Op::Arrange, &[2], 3),
        step(add(), &[1, 2], 4),
        step(Op::MultiplyReal, &[4, 1], 5),
        step(average(), &[5], 6),
        step(add(), &[5, 4], 7),
        step(average(), &[7], 8),
    ];
    let tensors = vec![planes, pixels, pixels, planes, pixels, pixels, mean, pixels, mean];
    Program { tensors, steps, inputs: vec![0], outputs: vec![6, 3, 7, 8] }
}

fn image(seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    (0..SHAPE.iter().product()).map(|_| 4.0 * random.real()).collect()
}

#[test]
fn what_was_put_off_is_as_if_it_had_been_computed_at_once() {
    for cpu in here() {
        let prepared = Arc::new(Prepared::new(network(), cpu).unwrap());
        let (mut whole, mut machine) = (Machine::new(Arc::clone(&prepared)), Machine::new(prepared));
        for seed in 0..20 {
            let image = image(seed);
            let given = [Input::Reals(&image)];
            let expected: [_; 4] = whole.run(&given).unwrap().outputs();
            assert!(expected.iter().all(Option::is_some));
            // Most of an image's outputs may stay away, and what the one before left behind is not to be read.
            for count in [0, 1, 2, 3, 4, 9] {
                let mut results = machine.run_first(count, &given).unwrap();
                for (index, expected) in expected.into_iter().enumerate() {
                    assert_eq!(results.output(index), expected.filter(|_| index < count.max(1)), "{index} of {count}");
                }
                assert_eq!(results.output(4), None);
                if seed % 2 == 0 {
                    results.finish();
                    results.finish();
                    assert_eq!(results.outputs(), expected);
                } else {
                    let early: [_; 5] = results.outputs();
                    assert_eq!(early.into_iter().flatten().count(), count.clamp(1, 4));
                }
            }
        }
    }
}

#[test]
fn only_what_is_asked_for_takes_time() {
    let mut machine = Machine::new(Arc::new(Prepared::new(network(), shelfwatch_network::Cpu::Portable).unwrap()));
    machine.measure();
    let image = image(1);
    machine.run_first(1, &[Input::Reals(&image)]).unwrap().finish();
    let steps: Vec<(String, bool)> = machine.steps().map(|s| (s.name.to_owned(), s.time.is_zero())).collect();
    let names: Vec<&str> = steps.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["1", "2", "4", "5", "6", "3", "7", "8"]);
    assert!(steps.iter().all(|(_, idle)| !idle));
    machine.measure();
    machine.run_first(1, &[Input::Reals(&image)]).unwrap();
    assert_eq!(machine.steps().map(|s| s.time.is_zero()).collect::<Vec<_>>()[5..], [true; 3]);
}

#[test]
fn an_image_that_is_refused_leaves_nothing_to_be_read() {
    let mut machine = Machine::new(Arc::new(Prepared::new(network(), shelfwatch_network::Cpu::Portable).unwrap()));
    machine.run(&[Input::Reals(&image(1))]).unwrap();
    assert!(machine.run_first(1, &[Input::Reals(&image(2)[1..])]).is_err());
    let results = machine.run_first(1, &[Input::Reals(&image(2))]).unwrap();
    assert_eq!(results.outputs().map(|output| output.is_some()), [true, false, false, false]);
}
