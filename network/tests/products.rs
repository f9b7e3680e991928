//! Products computed on every kind of processor that this machine is are what the definition says: integers to the
//! bit, reals but for their rounding.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod definition;
mod trial;

use definition::{Image, convolve, extent};
use proptest::prelude::*;
use shelfwatch_network::{Bounds, Element, Op, Product, Program, Step, Weights, Window};
use trial::{Case, Random, around, case, here, run, tensor, whole};

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

/// Windows of 3 × 3 taps side by side over many channels, which some processors compute by other products.
fn square_case() -> impl Strategy<Value = Case> {
    let channels = (prop_oneof![4 => (1..=4_usize).prop_map(|n| 16 * n), 1 => 17..=40_usize], 16..=70_usize);
    (any::<u64>(), [1..=13_usize, 1..=13_usize], channels, [0..=2_u32, 0..=2_u32], any::<[i8; 2]>()).prop_map(
        |(seed, size, (input, output), before, zeros)| {
            let window = Window { kernel: [3, 3], stride: [1, 1], before, dilation: [1, 1] };
            Case { seed, size, channels: [input, output], groups: 1, window, zeros }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(trial::cases(300)))]

    #[test]
    fn products_of_bytes_are_exact(case in case()) {
        bytes_are_exact(&case)?;
    }

    #[test]
    fn products_of_reals_agree(case in case()) {
        reals_agree(&case)?;
    }

    #[test]
    fn square_products_agree(case in square_case()) {
        bytes_are_exact(&case)?;
        reals_agree(&case)?;
    }

    #[test]
    fn depthwise_products_agree(case in depthwise_case()) {
        bytes_are_exact(&case)?;
        reals_agree(&case)?;
    }
}

/// Lines so long that the channels are computed some at a time.
#[test]
fn depthwise_products_of_long_lines_agree() {
    for (side, stride) in [(3, 1), (3, 2), (5, 1), (5, 2)] {
        let window = Window { kernel: [side; 2], stride: [stride; 2], before: [1, 2], dilation: [1, 1] };
        let case = Case { seed: 7, size: [6, 700], channels: [1, 1], groups: 72, window, zeros: [-3, 5] };
        bytes_are_exact(&case).unwrap();
    }
}

/// Full-range values in long rows, from either end of a byte: products of ±255 and −128 do not saturate anywhere on the
/// way.
#[test]
fn the_greatest_sums_are_exact() {
    let window = Window { kernel: [3, 3], stride: [1, 1], before: [1, 1], dilation: [1, 1] };
    for (channels, zero, value) in
        [512, 3632, 3648, 4096].into_iter().flat_map(|c| [(c, 127, -255.0), (c, -128, 255.0)])
    {
        let program = |weight: i8| {
            let values = vec![weight; 9 * channels * 32];
            let weights = Weights::Bytes { values, bias: vec![0; 32], factors: vec![1.0] };
            let product = Product { window, groups: 1, weights, bounds: Bounds::NONE };
            let from = tensor([3, 3, channels], Element::Byte { zero });
            around(Op::Product(product), &[(from, whole(zero))], tensor([3, 3, 32], Element::Real))
        };
        let extreme = vec![value; 9 * channels];
        for cpu in here() {
            for weight in [-128, 127] {
                let found = run(&program(weight), cpu, &[&extreme]);
                let expected = value * f32::from(weight) * 9.0 * channels as f32;
                assert_eq!(&found[4 * 32..5 * 32], &[expected; 32], "{cpu:?}, {channels} channels, zero {zero}");
            }
        }
    }
}
