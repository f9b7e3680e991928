//! Several threads compute what one computes, to the bit.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use shelfwatch_network::{
    Bounds, Element, Input, Machine, Op, Order, Prepared, Product, Program, Step, Tensor, Weights, Window,
};

/// A network of reals or bytes that has every kind of product, with odd sizes.
fn network(bytes: bool) -> Program {
    let bounds = Bounds { low: -100.0, high: 100.0 };
    let element = if bytes { Element::Byte { zero: 3 } } else { Element::Real };
    let mut program = Program::default();
    let first = Tensor { rows: 45, columns: 43, channels: 5, element: Element::Real, order: Order::Pixels };
    program.tensors.push(first);
    program.inputs.push(0);
    let push = |program: &mut Program, op, output: Tensor| {
        let from = program.tensors.len() as u32 - 1;
        program.tensors.push(output);
        program.steps.push(Step { name: "step".to_owned(), op, inputs: vec![from], output: from + 1 });
    };
    if bytes {
        push(&mut program, Op::Quantise { step: 0.01, bounds }, Tensor { element, ..first });
    }
    // Side of the window, stride, groups, output channels.
    for (side, stride, groups, channels) in [(3, 1, 1, 96), (3, 1, 96, 96), (3, 1, 1, 48), (5, 2, 3, 48), (1, 1, 1, 70)]
    {
        let input = *program.tensors.last().unwrap();
        let before = side / 2;
        let [rows, columns] = [input.rows, input.columns].map(|e| (e + 2 * before - side) / stride + 1);
        let window = Window { kernel: [side; 2], stride: [stride; 2], before: [before; 2], dilation: [1; 2] };
        let length = side * side * input.channels / groups;
        let noise = |at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8 as i8;
        let numbers = 0..length * channels;
        let weights = if bytes {
            let factors = vec![1.0 / (70.0 * (length as f32).sqrt())];
            Weights::Bytes { values: numbers.map(noise).collect(), bias: vec![77; channels as usize], factors }
        } else {
            let values = numbers.map(|at| f32::from(noise(at)) / (70.0 * (length as f32).sqrt())).collect();
            Weights::Reals { values, bias: vec![0.1; channels as usize] }
        };
        let output = Tensor { rows, columns, channels, element, order: Order::Pixels };
        push(&mut program, Op::Product(Product { window, groups, weights, bounds }), output);
    }
    if bytes {
        let bytes = *program.tensors.last().unwrap();
        let output = Tensor { element: Element::Real, ..bytes };
        push(&mut program, Op::Dequantise { scale: 1.0 }, output);
    }
    program.outputs.push(program.tensors.len() as u32 - 1);
    program
}

#[test]
fn threads_do_not_change_a_bit() {
    for bytes in [false, true] {
        let program = network(bytes);
        let values: Vec<f32> = (0..45 * 43 * 5).map(|at| ((at * 37) % 201) as f32 / 100.0 - 1.0).collect();
        for cpu in shelfwatch_network::Cpu::ALL.into_iter().filter(|c| c.is_here()) {
            let prepared = Arc::new(Prepared::new(program.clone(), cpu).unwrap());
            let mut alone = Machine::new(Arc::clone(&prepared));
            let results = alone.run(&[Input::Reals(&values)]).unwrap();
            let bits: Vec<u32> = results.output(0).unwrap().iter().map(|v| v.to_bits()).collect();
            assert!(bits.iter().any(|&b| b != bits[0]));
            for threads in 1..=4 {
                let mut machine = Machine::with_threads(Arc::clone(&prepared), threads).unwrap();
                for _ in 0..8 {
                    let results = machine.run(&[Input::Reals(&values)]).unwrap();
                    let same =
                        results.output(0).unwrap().iter().zip(&bits).all(|(value, &bits)| value.to_bits() == bits);
                    assert!(same, "{threads} threads, {cpu:?}, bytes: {bytes}");
                }
            }
        }
    }
}
