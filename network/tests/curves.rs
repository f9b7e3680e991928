//! A curve is the same to the bit wherever it is computed: in a step of its own, joined to the step before, on every kind of
//! processor that this machine is; and it is its definition.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "bytes and windows belong to other tests")]
mod trial;

use std::sync::Arc;

use shelfwatch_network::{
    Bounds, Cpu, Curve, Element, Input, Machine, Op, Prepared, Product, Program, Step, Weights, Window,
};
use trial::{Random, here, tensor};

const CURVES: [Curve; 9] = [
    Curve::Clamp { low: 0.0, high: f32::INFINITY },
    Curve::Clamp { low: 0.0, high: 6.0 },
    Curve::Clamp { low: -0.5, high: 0.25 },
    Curve::Clamp { low: 2.0, high: 3.0 },
    Curve::HardSigmoid { alpha: 0.2, beta: 0.5 },
    Curve::HardSwish,
    Curve::Sigmoid,
    Curve::Silu,
    Curve::LeakyRelu { alpha: 0.125 },
];

/// Values at which something may go wrong, and random ones.
fn values(count: usize) -> Vec<f32> {
    let odd = [0.0, -0.0, 3.0, -3.0, 6.0, 1e-40, -1e-40, f32::MAX, f32::MIN, 88.0, -88.0, 104.0, -104.0];
    let mut random = Random(7);
    (0..count).map(|at| odd.get(at % 29).copied().unwrap_or_else(|| 8.0 * random.real())).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// A step of reals on one input, or on it and the inputs given besides.
fn program(op: Op, shapes: &[[usize; 3]], output: [usize; 3]) -> Program {
    let mut tensors: Vec<_> = shapes.iter().map(|&shape| tensor(shape, Element::Real)).collect();
    let inputs: Vec<u32> = (0..shapes.len() as u32).collect();
    tensors.push(tensor(output, Element::Real));
    let made = shapes.len() as u32;
    let steps = vec![Step { name: "before".to_owned(), op, inputs: inputs.clone(), output: made }];
    Program { tensors, steps, inputs, outputs: vec![made] }
}

/// The program with curves drawn one after the other; `apart` from what is before, which is then an output, too.
fn drawn(mut program: Program, curves: &[Curve], apart: bool) -> Program {
    for &curve in curves {
        let from = program.tensors.len() as u32 - 1;
        program.tensors.push(program.tensors[from as usize]);
        program.steps.push(Step {
            name: "curve".to_owned(),
            op: Op::Curve(curve),
            inputs: vec![from],
            output: from + 1,
        });
        if !apart {
            program.outputs.clear();
        }
        program.outputs.insert(0, from + 1);
    }
    program
}

/// First output, and how many steps were run for it.
fn run(program: &Program, cpu: Cpu, inputs: &[&[f32]]) -> (Vec<f32>, usize) {
    let mut machine = Machine::new(Arc::new(Prepared::new(program.clone(), cpu).unwrap()));
    let inputs: Vec<Input<'_>> = inputs.iter().map(|i| Input::Reals(i)).collect();
    let found = machine.run(&inputs).unwrap().output(0).unwrap().to_vec();
    (found, machine.steps().count())
}

#[test]
fn a_curve_alone_is_its_definition() {
    for count in [1, 7, 64, 5003] {
        let values = values(count);
        for curve in CURVES {
            let program = program(Op::Curve(curve), &[[1, 1, count]], [1, 1, count]);
            let expected = if matches!(curve, Curve::Sigmoid | Curve::Silu) {
                run(&program, Cpu::Portable, &[&values]).0
            } else {
                values.iter().map(|&x| curve.at(x)).collect()
            };
            for cpu in here() {
                assert_eq!(bits(&run(&program, cpu, &[&values]).0), bits(&expected), "{curve:?} on {cpu:?}");
            }
        }
    }
}

/// Over all of what a sigmoid makes a difference of, where its value is not next to nothing.
#[test]
fn curves_of_the_exponential_function_are_near_it() {
    let values: Vec<f32> = (-870_000..=870_000).map(|at| at as f32 * 1e-4).collect();
    let exact = values.iter().map(|&x| 1.0 / (1.0 + f64::from(-x).exp()));
    let program = |curve| program(Op::Curve(curve), &[[1, 1, values.len()]], [1, 1, values.len()]);
    let (sigmoid, _) = run(&program(Curve::Sigmoid), Cpu::Portable, &[&values]);
    let (silu, _) = run(&program(Curve::Silu), Cpu::Portable, &[&values]);
    for (at, exact) in exact.enumerate() {
        let x = f64::from(values[at]);
        assert!((f64::from(sigmoid[at]) - exact).abs() <= 5e-7 * exact, "sigmoid at {x}");
        assert!((f64::from(silu[at]) - x * exact).abs() <= 6e-7 * (x * exact).abs(), "silu at {x}");
        for curve in [Curve::Sigmoid, Curve::Silu] {
            let (found, at) = (if curve == Curve::Silu { silu[at] } else { sigmoid[at] }, curve.at(values[at]));
            assert!((found - at).abs() <= 1e-6 * at.abs(), "{curve:?} at {x}");
        }
    }
}

#[test]
fn a_curve_joined_to_the_step_before_is_the_curve_behind_it() {
    let (shape, channels) = ([13, 11, 24], 24);
    let left = values(13 * 11 * channels);
    let right: Vec<f32> = left.iter().rev().map(|v| v * 0.5).collect();
    let weights = |groups: usize, taps: usize| {
        let mut random = Random(3);
        let values = (0..channels * taps * channels / groups).map(|_| random.real()).collect();
        let bias = (0..channels).map(|_| random.real()).collect();
        Weights::Reals { values, bias }
    };
    let product = |groups: usize, side: u32| {
        let window = Window { kernel: [side; 2], stride: [1; 2], before: [side / 2; 2], dilation: [1; 2] };
        let weights = weights(groups, (side * side) as usize);
        Op::Product(Product { window, groups: groups as u32, weights, bounds: Bounds { low: -50.0, high: 1.5 } })
    };
    let add = |bounds| program(Op::AddReal { bounds }, &[shape, shape], shape);
    let bounds = Bounds { low: -1.0, high: 0.125 };
    for program in [
        add(Bounds::NONE),
        add(bounds),
        program(Op::MultiplyReal, &[shape, shape], shape),
        program(product(1, 1), &[shape], shape),
        program(product(1, 3), &[shape], shape),
        program(product(channels, 3), &[shape], shape),
        program(Op::Mean { factor: 0.01, bounds: Bounds::NONE }, &[shape], [1, 1, channels]),
    ] {
        // No infinities, which differ in sums of another order.
        let tame: Vec<f32> = left.iter().map(|v| v.clamp(-100.0, 100.0)).collect();
        let inputs = &[&tame[..], &right.iter().map(|v| v.clamp(-100.0, 100.0)).collect::<Vec<f32>>()];
        let inputs = &inputs[..program.inputs.len()];
        for curves in CURVES.map(|curve| vec![curve]).into_iter().chain(CURVES.map(|curve| vec![curve, CURVES[2]])) {
            for cpu in here() {
                let (joined, few) = run(&drawn(program.clone(), &curves, false), cpu, inputs);
                let (apart, many) = run(&drawn(program.clone(), &curves, true), cpu, inputs);
                assert_eq!(bits(&joined), bits(&apart), "{:?}, {curves:?} on {cpu:?}", program.steps[0].op.name());
                assert!(few <= curves.len() && many == 1 + curves.len(), "{few} and {many} steps");
            }
        }
    }
}

#[test]
fn a_value_times_its_sigmoid_is_one_curve_with_the_same_bits() {
    let shape = [5, 9, 20];
    let values = values(5 * 9 * 20);
    for gate in [Curve::Sigmoid, Curve::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 }] {
        for inputs in [[1, 2], [2, 1]] {
            let program = |shown: bool| {
                let step =
                    |op, inputs: &[u32], output| Step { name: "step".to_owned(), op, inputs: inputs.to_vec(), output };
                let steps = vec![
                    step(Op::AddReal { bounds: Bounds::NONE }, &[0, 0], 1),
                    step(Op::Curve(gate), &[1], 2),
                    step(Op::MultiplyReal, &inputs, 3),
                ];
                let outputs = if shown { vec![3, 2] } else { vec![3] };
                Program { tensors: vec![tensor(shape, Element::Real); 4], steps, inputs: vec![0], outputs }
            };
            for cpu in here() {
                let (joined, one) = run(&program(false), cpu, &[&values]);
                let (apart, three) = run(&program(true), cpu, &[&values]);
                assert_eq!((bits(&joined), one, three), (bits(&apart), 1, 3), "{gate:?} on {cpu:?}");
            }
        }
    }
}

#[test]
fn what_is_no_number_stays_visible_behind_a_clamping() {
    let values = [f32::NAN, 1.0, -1.0];
    for curve in CURVES {
        for cpu in here() {
            let program = program(Op::AddReal { bounds: Bounds::NONE }, &[[1, 1, 3], [1, 1, 3]], [1, 1, 3]);
            let (found, _) = run(&drawn(program, &[curve], false), cpu, &[&values, &[0.0; 3]]);
            assert!(found[0].is_nan() && !found[1].is_nan(), "{curve:?} on {cpu:?}: {found:?}");
        }
    }
}

#[test]
fn a_clamping_with_its_bounds_in_disorder_is_refused() {
    for (low, high) in [(1.0, 0.0), (f32::NAN, 1.0), (0.0, f32::NAN)] {
        let program = program(Op::Curve(Curve::Clamp { low, high }), &[[1, 1, 3]], [1, 1, 3]);
        assert!(Prepared::new(program, Cpu::Portable).unwrap_err().to_string().contains("bounds"));
    }
}
