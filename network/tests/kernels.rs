//! Every kind of processor that this machine is computes what the definition says: integers to the bit.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod definition;

use std::sync::Arc;

use definition::{Image, convolve, extent};
use proptest::prelude::*;
use shelfwatch_network::{
    Bounds, Cpu, Element, Input, Machine, Op, Order, Pool, Prepared, Product, Program, Step, Tensor, Weights, Window,
};

fn tensor(shape: [usize; 3], element: Element) -> Tensor {
    let [rows, columns, channels] = shape.map(|e| u32::try_from(e).unwrap());
    Tensor { rows, columns, channels, element, order: Order::Pixels }
}

/// A program that turns reals into bytes as they are, does one step with bytes, and turns them back.
fn around(op: Op, inputs: &[(Tensor, Bounds)], output: Tensor) -> Program {
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

fn run(program: &Program, cpu: Cpu, inputs: &[&[f32]]) -> Vec<f32> {
    let prepared = Prepared::new(program.clone(), cpu).unwrap();
    let mut machine = Machine::new(Arc::new(prepared));
    let inputs: Vec<Input<'_>> = inputs.iter().map(|i| Input::Reals(i)).collect();
    // Twice, so that what the first image left behind would be seen.
    machine.run(&inputs).unwrap();
    let first = machine.output(0).to_vec();
    machine.run(&inputs).unwrap();
    assert_eq!(machine.output(0), first);
    first
}

fn here() -> impl Iterator<Item = Cpu> {
    Cpu::ALL.into_iter().filter(|c| c.is_here())
}

/// Bounds that use the whole byte around a zero point.
fn whole(zero: i8) -> Bounds {
    Bounds { low: -128.0 - f32::from(zero), high: 127.0 - f32::from(zero) }
}

/// Random whole numbers of a seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Every byte, the extremes more often than others.
    fn byte(&mut self) -> i8 {
        let bits = self.next();
        match bits >> 60 {
            0 => -128,
            1 => 127,
            _ => bits as i8,
        }
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// In [−1, 1).
    fn real(&mut self) -> f32 {
        (self.next() >> 40) as f32 / 8_388_608.0 - 1.0
    }
}

/// Sizes of a convolution, all drawn from one seed.
#[derive(Clone, Debug)]
struct Case {
    seed: u64,
    size: [usize; 2],
    /// Input and output channels of one group.
    channels: [usize; 2],
    groups: usize,
    window: Window,
    zeros: [i8; 2],
}

fn case() -> impl Strategy<Value = Case> {
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

/// Holds an integer product of this case to the definition.
fn bytes_are_exact(case: &Case) -> Result<(), TestCaseError> {
    let Case { seed, size, channels, groups, window, zeros } = *case;
    let mut random = Random(seed);
    let [height, width] = size;
    let output = [0, 1].map(|axis| extent(&window, axis, size[axis]));
    let input: Vec<i8> = (0..height * width * channels[0] * groups).map(|_| random.byte()).collect();
    let length = window.kernel.iter().map(|&k| k as usize).product::<usize>() * channels[0];
    let outputs = channels[1] * groups;
    // Kernels may choose another way where no weight is −128.
    let least = if seed % 2 == 0 { -128 } else { -127 };
    let weights: Vec<i8> = (0..length * outputs).map(|_| random.byte().max(least)).collect();
    let bias: Vec<i32> = (0..outputs).map(|_| random.next() as i32 >> 14).collect();
    let factors: Vec<f32> = (0..outputs).map(|_| 0.02 * random.real().abs() / length as f32).collect();
    let bounds = whole(zeros[1]);
    let image = Image { size, channels: channels[0] * groups, values: &input };
    let sums = convolve(&image, zeros[0], &window, groups, outputs, &weights, &bias);
    let expected: Vec<f32> = sums
        .iter()
        .enumerate()
        .map(|(at, &sum)| (sum as f32 * factors[at % outputs]).clamp(bounds.low, bounds.high).round_ties_even())
        .collect();
    let product = Product {
        window,
        groups: groups as u32,
        weights: Weights::Bytes { values: weights, bias, factors: factors.clone() },
        bounds,
    };
    let from = tensor([height, width, channels[0] * groups], Element::Byte { zero: zeros[0] });
    let reals: Vec<f32> = input.iter().map(|&b| f32::from(b) - f32::from(zeros[0])).collect();
    let shape = [output[0], output[1], outputs];
    let to = tensor(shape, Element::Byte { zero: zeros[1] });
    let program = around(Op::Product(product.clone()), &[(from, whole(zeros[0]))], to);
    for cpu in here() {
        prop_assert_eq!(&run(&program, cpu, &[&reals]), &expected, "{:?}", cpu);
    }
    // The same sums as reals.
    let product = Product { bounds: Bounds::NONE, ..product };
    let program = around(Op::Product(product), &[(from, whole(zeros[0]))], tensor(shape, Element::Real));
    let expected: Vec<f32> = sums.iter().enumerate().map(|(at, &sum)| sum as f32 * factors[at % outputs]).collect();
    for cpu in here() {
        prop_assert_eq!(&run(&program, cpu, &[&reals]), &expected, "{:?}", cpu);
    }
    Ok(())
}

/// Holds a real product of this case to the definition.
fn reals_agree(case: &Case) -> Result<(), TestCaseError> {
    let Case { seed, size, channels, groups, window, .. } = *case;
    let mut random = Random(seed);
    let [height, width] = size;
    let output = [0, 1].map(|axis| extent(&window, axis, size[axis]));
    let input: Vec<f32> = (0..height * width * channels[0] * groups).map(|_| random.real()).collect();
    let length = window.kernel.iter().map(|&k| k as usize).product::<usize>() * channels[0];
    let outputs = channels[1] * groups;
    let weights: Vec<f32> = (0..length * outputs).map(|_| random.real()).collect();
    let bias: Vec<f32> = (0..outputs).map(|_| random.real()).collect();
    let image = Image { size, channels: channels[0] * groups, values: &input };
    let expected = convolve(&image, 0.0, &window, groups, outputs, &weights, &bias);
    let product = Product {
        window,
        groups: groups as u32,
        weights: Weights::Reals { values: weights, bias },
        bounds: Bounds { low: -1.5, high: 2.5 },
    };
    let tensors = vec![
        tensor([height, width, channels[0] * groups], Element::Real),
        tensor([output[0], output[1], outputs], Element::Real),
    ];
    let steps = vec![Step { name: "only".to_owned(), op: Op::Product(product), inputs: vec![0], output: 1 }];
    let program = Program { tensors, steps, inputs: vec![0], outputs: vec![1] };
    for cpu in here() {
        for (found, expected) in run(&program, cpu, &[&input]).iter().zip(&expected) {
            let expected = expected.clamp(-1.5, 2.5);
            prop_assert!(
                (f64::from(*found) - expected).abs() < 1e-6 * length as f64 + 1e-6,
                "{:?}: {} {}",
                cpu,
                found,
                expected
            );
        }
    }
    Ok(())
}

/// Depthwise windows of the usual sides, on images whose edges are little of them and on small ones.
fn depthwise_case() -> impl Strategy<Value = Case> {
    let window = (prop_oneof![Just(3_u32), Just(5)], 1..=2_u32, prop_oneof![3 => Just(1_u32), 1 => Just(2)], 0..=2_u32);
    let size = prop_oneof![20 => [1..=20_usize, 1..=20_usize], 1 => [50..=70_usize, 50..=70_usize]];
    (any::<u64>(), size, 2..=70_usize, window, any::<[i8; 2]>()).prop_map(
        |(seed, size, groups, (side, stride, dilation, before), zeros)| {
            let window =
                Window { kernel: [side; 2], stride: [stride; 2], before: [before; 2], dilation: [dilation; 2] };
            Case { seed, size, channels: [1, 1], groups, window, zeros }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn products_of_bytes_are_exact(case in case()) {
        bytes_are_exact(&case)?;
    }

    #[test]
    fn products_of_reals_agree(case in case()) {
        reals_agree(&case)?;
    }

    #[test]
    fn depthwise_products_agree(case in depthwise_case()) {
        bytes_are_exact(&case)?;
        reals_agree(&case)?;
    }

    #[test]
    fn other_steps_on_bytes_are_exact(seed: u64, size in [1..=9_usize, 1..=9_usize], channels in 1..=70_usize, zeros: [i8; 3]) {
        let mut random = Random(seed);
        let [height, width] = size;
        let volume = height * width * channels;
        let shape = [height, width, channels];
        let parts: [Vec<i8>; 2] = std::array::from_fn(|_| (0..volume).map(|_| random.byte()).collect());
        let reals: [Vec<f32>; 2] =
            std::array::from_fn(|at| parts[at].iter().map(|&b| f32::from(b) - f32::from(zeros[at])).collect());
        let inputs: [(Tensor, Bounds); 2] =
            std::array::from_fn(|at| (tensor(shape, Element::Byte { zero: zeros[at] }), whole(zeros[at])));
        let bounds = whole(zeros[2]);
        let saturate = |v: f32| v.clamp(bounds.low, bounds.high).round_ties_even();
        let (left, right, step) = (0.01 + random.real().abs(), 0.01 + random.real().abs(), 0.5 + random.real().abs());
        let to = tensor(shape, Element::Byte { zero: zeros[2] });
        let pairs = || reals[0].iter().zip(&reals[1]);
        let added: Vec<f32> = pairs().map(|(a, b)| saturate((a * left + b * right) / step)).collect();
        let times: Vec<f32> = pairs().map(|(a, b)| saturate(a * b * (left / 64.0))).collect();
        let spread: Vec<f32> = reals[0]
            .iter()
            .enumerate()
            .map(|(at, a)| saturate(a * reals[1][at % channels] * (left / 64.0)))
            .collect();
        let table: Vec<i8> = (0..256).map(|_| random.byte()).collect();
        let looked: Vec<f32> =
            parts[0].iter().map(|&b| f32::from(table[(i32::from(b) + 128) as usize]) - f32::from(zeros[2])).collect();
        let factor = left / (height * width) as f32;
        let sums: Vec<f32> =
            (0..channels).map(|c| reals[0].iter().skip(c).step_by(channels).sum::<f32>()).collect();
        let mean: Vec<f32> = sums.iter().map(|&s| saturate(s * factor)).collect();
        let one = (tensor([1, 1, channels], inputs[1].0.element), inputs[1].1);
        let vector = tensor([1, 1, channels], Element::Byte { zero: zeros[2] });
        for cpu in here() {
            let both: [&[f32]; 2] = [&reals[0], &reals[1]];
            let program = around(Op::Add { left, right, step, bounds }, &inputs, to);
            prop_assert_eq!(&run(&program, cpu, &both), &added);
            let multiply = Op::Multiply { factor: left / 64.0, bounds };
            let program = around(multiply.clone(), &inputs, to);
            prop_assert_eq!(&run(&program, cpu, &both), &times);
            let program = around(multiply, &[inputs[0], one], to);
            prop_assert_eq!(&run(&program, cpu, &[both[0], &both[1][..channels]]), &spread);
            let program = around(Op::Lookup(table.clone()), &inputs[..1], to);
            prop_assert_eq!(&run(&program, cpu, &both[..1]), &looked);
            let program = around(Op::Mean { factor, bounds }, &inputs[..1], vector);
            prop_assert_eq!(&run(&program, cpu, &both[..1]), &mean);
            let real = tensor([1, 1, channels], Element::Real);
            let program = around(Op::Mean { factor, bounds: Bounds::NONE }, &inputs[..1], real);
            let exact: Vec<f32> = sums.iter().map(|&s| s * factor).collect();
            prop_assert_eq!(&run(&program, cpu, &both[..1]), &exact);
            let wider = tensor([height, width, channels + 5], inputs[0].0.element);
            let program = around(Op::Fill { before: 2 }, &inputs[..1], wider);
            let expected: Vec<f32> =
                reals[0].chunks(channels).flat_map(|p| [&[0.0; 2], p, &[0.0; 3]].concat()).collect();
            prop_assert_eq!(&run(&program, cpu, &both[..1]), &expected);
            let alike = [inputs[0], inputs[0]];
            let joined = tensor([height, width, 2 * channels], inputs[0].0.element);
            let program = around(Op::Join, &alike, joined);
            let expected: Vec<f32> =
                reals[0].chunks(channels).flat_map(|p| [p, p].concat()).collect();
            prop_assert_eq!(&run(&program, cpu, &[both[0], both[0]]), &expected);
        }
    }

    #[test]
    fn pooling_of_bytes_is_exact(case in case()) {
        let Case { seed, size, channels, window, zeros, .. } = case;
        let mut random = Random(seed);
        let channels = channels[0];
        let window = Window { before: [window.before[0].min(window.kernel[0] - 1), window.before[1].min(window.kernel[1] - 1)], dilation: [1, 1], ..window };
        prop_assume!((0..2).all(|axis| size[axis] + window.before[axis] as usize >= window.kernel[axis] as usize));
        let output = [0, 1].map(|axis| (size[axis] + window.before[axis] as usize - window.kernel[axis] as usize) / window.stride[axis] as usize + 1);
        let values: Vec<i8> = (0..size[0] * size[1] * channels).map(|_| random.byte()).collect();
        let reals: Vec<f32> = values.iter().map(|&b| f32::from(b) - f32::from(zeros[0])).collect();
        let shape = [output[0], output[1], channels];
        let from = (tensor([size[0], size[1], channels], Element::Byte { zero: zeros[0] }), whole(zeros[0]));
        let bounds = whole(zeros[1]);
        let seen = |at: usize| {
            let (y, x, c) = (at / channels / output[1], at / channels % output[1], at % channels);
            let (window, reals) = (window, &reals);
            (0..window.kernel[0] as usize).flat_map(move |ky| (0..window.kernel[1] as usize).map(move |kx| (ky, kx))).filter_map(move |(ky, kx)| {
                let row = (y * window.stride[0] as usize + ky).checked_sub(window.before[0] as usize)?;
                let column = (x * window.stride[1] as usize + kx).checked_sub(window.before[1] as usize)?;
                (row < size[0] && column < size[1]).then(|| reals[(row * size[1] + column) * channels + c])
            })
        };
        let all = 0..output[0] * output[1] * channels;
        let most: Vec<f32> = all.clone().map(|at| seen(at).fold(f32::MIN, f32::max)).collect();
        for cpu in here() {
            let program = around(Op::Max(window), &[from], tensor(shape, Element::Byte { zero: zeros[0] }));
            prop_assert_eq!(&run(&program, cpu, &[&reals]), &most);
            for padded in [true, false] {
                let taps = (window.kernel[0] * window.kernel[1]) as usize;
                let mean: Vec<f32> = all.clone().map(|at| {
                    let count = if padded { taps } else { seen(at).count() };
                    (seen(at).sum::<f32>() * (0.75 / count as f32)).clamp(bounds.low, bounds.high).round_ties_even()
                }).collect();
                let pool = Pool { window, padded, factor: 0.75, bounds };
                let program = around(Op::Average(pool), &[from], tensor(shape, Element::Byte { zero: zeros[1] }));
                prop_assert_eq!(&run(&program, cpu, &[&reals]), &mean);
            }
        }
    }
}

/// Planes become pixels and planes again, whatever the number of channels.
#[test]
fn orders_are_turned() {
    let bounds = whole(0);
    for channels in 1..=9 {
        for [rows, columns] in [[1, 1], [3, 5], [17, 16], [30, 21]] {
            let pixels = tensor([rows, columns, channels], Element::Real);
            let planes = Tensor { order: Order::Planes, ..pixels };
            let bytes = Tensor { element: Element::Byte { zero: 0 }, ..pixels };
            let step = |op, from, to| Step { name: String::new(), op, inputs: vec![from], output: to };
            let steps = vec![
                step(Op::Quantise { step: 1.0, bounds }, 0, 1),
                step(Op::Dequantise { scale: 1.0 }, 1, 2),
                step(Op::Dequantise { scale: 1.0 }, 1, 3),
                step(Op::Arrange, 0, 4),
                step(Op::Arrange, 4, 5),
            ];
            let tensors = vec![planes, bytes, pixels, planes, pixels, planes];
            let program = Program { tensors, steps, inputs: vec![0], outputs: vec![2, 3, 4, 5] };
            let mut random = Random(channels as u64);
            let values: Vec<f32> = (0..pixels.volume()).map(|_| f32::from(random.byte())).collect();
            let by_pixel = |at: usize| values[at % channels * rows * columns + at / channels];
            let expected: Vec<f32> = (0..values.len()).map(by_pixel).collect();
            for cpu in here() {
                let mut machine = Machine::new(Arc::new(Prepared::new(program.clone(), cpu).unwrap()));
                machine.run(&[Input::Reals(&values)]).unwrap();
                let outputs = [0, 1, 2, 3].map(|at| machine.output(at));
                assert_eq!(outputs, [&expected[..], &values, &expected, &values]);
            }
        }
    }
}

/// Full-range values in long rows: 4,608 products of −128 and −128 do not saturate anywhere on the way.
#[test]
fn the_greatest_sums_are_exact() {
    let window = Window { kernel: [3, 3], stride: [1, 1], before: [1, 1], dilation: [1, 1] };
    let channels = 512;
    let program = |weight: i8| {
        let weights = Weights::Bytes { values: vec![weight; 9 * channels * 16], bias: vec![0; 16], factors: vec![1.0] };
        let product = Product { window, groups: 1, weights, bounds: Bounds::NONE };
        let from = tensor([3, 3, channels], Element::Byte { zero: 127 });
        around(Op::Product(product), &[(from, whole(127))], tensor([3, 3, 16], Element::Real))
    };
    let least = vec![-255.0; 9 * channels];
    let mut random = Random(7);
    let _ = random.below(2);
    for cpu in here() {
        for weight in [-128, 127] {
            let found = run(&program(weight), cpu, &[&least]);
            let expected = -255.0 * f32::from(weight) * 9.0 * channels as f32;
            assert_eq!(&found[4 * 16..5 * 16], &[expected; 16], "{cpu:?}");
        }
    }
}
