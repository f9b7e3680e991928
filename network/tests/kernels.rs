//! Every kind of processor that this machine is computes what the definition says: integers to the bit.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "groups of channels belong to products")]
mod trial;

use std::sync::Arc;

use proptest::prelude::*;
use shelfwatch_network::{Bounds, Element, Input, Machine, Op, Order, Pool, Prepared, Program, Step, Tensor, Window};
use trial::{Case, Random, around, case, here, run, tensor, whole};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(trial::cases(300)))]

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
        let Case { seed, size, channels, groups: _, window, zeros } = case;
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
                let outputs = machine.run(&[Input::Reals(&values)]).unwrap().outputs();
                assert_eq!(outputs, [&expected[..], &values, &expected, &values].map(Some));
            }
        }
    }
}
