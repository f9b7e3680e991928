//! Programs of one step, random values and random sizes, for every kind of processor that this machine is.

use std::sync::Arc;

use proptest::prelude::*;
use shelfwatch_network::{Bounds, Cpu, Element, Input, Machine, Op, Order, Prepared, Program, Step, Tensor, Window};

pub(crate) fn tensor(shape: [usize; 3], element: Element) -> Tensor {
    let [rows, columns, channels] = shape.map(|e| u32::try_from(e).unwrap());
    Tensor { rows, columns, channels, element, order: Order::Pixels }
}

/// A program that turns reals into bytes as they are, does one step with bytes, and turns them back.
pub(crate) fn around(op: Op, inputs: &[(Tensor, Bounds)], output: Tensor) -> Program {
    let mut tensors = vec![];
    let mut steps = vec![];
    let step = |name: &str, op, inputs, output| Step { name: name.to_owned(), op, inputs, output };
    let mut read = vec![];
    for (bytes, bounds) in inputs {
        let at = tensors.len() as u32;
        tensors.extend([Tensor { element: Element::Real, ..*bytes }, *bytes]);
        steps.push(step("in", Op::Quantise { step: 1.0, bounds: *bounds }, vec![at], at + 1));
        read.push(at + 1);
    }
    let given = read.iter().map(|at| at - 1).collect();
    let made = tensors.len() as u32;
    tensors.push(output);
    steps.push(step("middle", op, read, made));
    let mut result = made;
    if output.element != Element::Real {
        tensors.push(Tensor { element: Element::Real, ..output });
        steps.push(step("out", Op::Dequantise { scale: 1.0 }, vec![made], made + 1));
        result += 1;
    }
    Program { tensors, steps, inputs: given, outputs: vec![result] }
}

pub(crate) fn run(program: &Program, cpu: Cpu, inputs: &[&[f32]]) -> Vec<f32> {
    let prepared = Prepared::new(program.clone(), cpu).unwrap();
    let mut machine = Machine::new(Arc::new(prepared));
    let inputs: Vec<Input<'_>> = inputs.iter().map(|i| Input::Reals(i)).collect();
    // Twice, so that what the first image left behind would be seen.
    let first = machine.run(&inputs).unwrap().output(0).unwrap().to_vec();
    assert_eq!(machine.run(&inputs).unwrap().output(0).unwrap(), first);
    first
}

pub(crate) fn here() -> impl Iterator<Item = Cpu> {
    Cpu::ALL.into_iter().filter(|c| c.is_here())
}

/// Bounds that use the whole byte around a zero point.
pub(crate) fn whole(zero: i8) -> Bounds {
    Bounds { low: -128.0 - f32::from(zero), high: 127.0 - f32::from(zero) }
}

/// Random whole numbers of a seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Every byte, the extremes more often than others.
    pub(crate) fn byte(&mut self) -> i8 {
        let bits = self.next();
        match bits >> 60 {
            0 => -128,
            1 => 127,
            _ => bits as i8,
        }
    }

    /// In [−1, 1).
    pub(crate) fn real(&mut self) -> f32 {
        (self.next() >> 40) as f32 / 8_388_608.0 - 1.0
    }
}

/// Sizes of a convolution, all drawn from one seed.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) seed: u64,
    pub(crate) size: [usize; 2],
    /// Input and output channels of one group.
    pub(crate) channels: [usize; 2],
    pub(crate) groups: usize,
    pub(crate) window: Window,
    pub(crate) zeros: [i8; 2],
}

pub(crate) fn case() -> impl Strategy<Value = Case> {
    let window = (1..=5_u32, 1..=5_u32, 1..=3_u32, 1..=2_u32, 0..=2_u32, 0..=2_u32);
    let groups = prop_oneof![4 => Just(1_usize), 1 => 2..=3_usize, 3 => 16..=70_usize];
    (any::<u64>(), 1..=11_usize, 1..=11_usize, 1..=40_usize, 1..=40_usize, groups, window, any::<[i8; 2]>()).prop_map(
        |(seed, rows, columns, input, output, groups, (kh, kw, stride, dilation, top, left), zeros)| {
            let many = groups > 3;
            let channels = if many { [1, 1] } else { [input, output] };
            let reach = [kh, kw].map(|k| (k - 1) * dilation);
            let window = Window {
                kernel: [kh, kw],
                stride: [stride, stride],
                before: [top.min(reach[0]), left.min(reach[1])],
                dilation: [dilation; 2],
            };
            Case { seed, size: [rows, columns], channels, groups, window, zeros }
        },
    )
}

/// So many cases, or as many as `SHELFWATCH_CASES` says: emulated processors are slow.
pub(crate) fn cases(usual: u32) -> u32 {
    std::env::var("SHELFWATCH_CASES").map_or(usual, |text| text.parse().expect("a number of cases"))
}
