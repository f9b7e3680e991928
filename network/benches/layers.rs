//! What the layers of MobileNets and ResNet18 cost, as bytes and as reals, with every kind of kernel that this machine
//! has: `cargo bench -p shelfwatch-network --bench layers -- 'bytes/avx2'`.
#![expect(clippy::unwrap_used, reason = "a benchmark ends by panicking")]

use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use shelfwatch_network::{
    Bounds, Cpu, Element, Input, Machine, Op, Order, Prepared, Product, Program, Step, Tensor, Weights, Window,
};

/// Side of the input, input and output channels, side of the window, stride, groups.
const LAYERS: [[u32; 6]; 25] = [
    [224, 3, 32, 3, 2, 1],
    [112, 32, 32, 3, 1, 32],
    [112, 16, 96, 1, 1, 1],
    [112, 64, 64, 3, 2, 64],
    [56, 128, 128, 3, 1, 128],
    [56, 144, 144, 3, 2, 144],
    [28, 192, 32, 1, 1, 1],
    [14, 384, 384, 3, 1, 384],
    [14, 512, 512, 3, 1, 512],
    [8, 384, 384, 3, 1, 384],
    [4, 960, 960, 3, 1, 960],
    [14, 96, 576, 1, 1, 1],
    [7, 320, 1280, 1, 1, 1],
    [224, 3, 64, 7, 2, 1],
    [56, 64, 64, 3, 1, 1],
    [7, 512, 512, 3, 1, 1],
    [28, 240, 240, 5, 1, 240],
    [56, 72, 72, 5, 2, 72],
    [32, 16, 16, 3, 1, 1],
    [112, 32, 64, 1, 1, 1],
    [32, 24, 144, 1, 1, 1],
    [1, 1024, 1000, 1, 1, 1],
    [7, 1024, 1024, 1, 1, 1],
    [7, 960, 160, 1, 1, 1],
    [14, 576, 96, 1, 1, 1],
];

fn tensor(side: u32, channels: u32, element: Element) -> Tensor {
    Tensor { rows: side, columns: side, channels, element, order: Order::Pixels }
}

/// The layer between the steps that make bytes of its input and reals of its result.
fn program([side, from, to, kernel, stride, groups]: [u32; 6], bytes: bool) -> Program {
    let before = kernel / 2;
    let outputs = (side + 2 * before - kernel) / stride + 1;
    let window = Window { kernel: [kernel; 2], stride: [stride; 2], before: [before; 2], dilation: [1, 1] };
    let count = to * kernel * kernel * from / groups;
    let spread = |i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8;
    let step = |op, input, output| Step { name: "step".to_owned(), op, inputs: vec![input], output };
    let bounds = Bounds { low: -128.0, high: 127.0 };
    if !bytes {
        let values = (0..count).map(|i| f32::from(spread(i)) / 128.0 - 1.0).collect();
        let weights = Weights::Reals { values, bias: vec![0.1; to as usize] };
        let product = Product { window, groups, weights, bounds: Bounds { low: 0.0, high: 6.0 } };
        let tensors = vec![tensor(side, from, Element::Real), tensor(outputs, to, Element::Real)];
        return Program { tensors, steps: vec![step(Op::Product(product), 0, 1)], inputs: vec![0], outputs: vec![1] };
    }
    let values = (0..count).map(|i| spread(i).cast_signed()).collect();
    let weights = Weights::Bytes { values, bias: vec![5; to as usize], factors: vec![0.001] };
    let product = Product { window, groups, weights, bounds };
    let byte = Element::Byte { zero: 0 };
    let tensors = vec![
        tensor(side, from, Element::Real),
        tensor(side, from, byte),
        tensor(outputs, to, byte),
        tensor(outputs, to, Element::Real),
    ];
    let steps = vec![
        step(Op::Quantise { step: 1.0, bounds }, 0, 1),
        step(Op::Product(product), 1, 2),
        step(Op::Dequantise { scale: 1.0 }, 2, 3),
    ];
    Program { tensors, steps, inputs: vec![0], outputs: vec![3] }
}

fn layers(criterion: &mut Criterion) {
    for (kind, bytes) in [("bytes", true), ("reals", false)] {
        for cpu in Cpu::ALL.into_iter().filter(|cpu| cpu.is_here()) {
            let mut group = criterion.benchmark_group(format!("{kind}/{}", cpu.name()));
            for layer in LAYERS {
                let prepared = Arc::new(Prepared::new(program(layer, bytes), cpu).unwrap());
                let mut machine = Machine::new(prepared);
                let [side, from, to, kernel, stride, groups] = layer;
                let image: Vec<f32> = (0..side * side * from).map(|i| (i * 31 % 256) as f32 - 128.0).collect();
                machine.run(&[Input::Reals(&image)]).unwrap();
                let products = machine.steps().map(|s| s.products).sum();
                group.throughput(Throughput::Elements(products));
                let name = format!("{side}×{side}×{from}→{to} {kernel}×{kernel}/{stride} in {groups}");
                group.bench_function(BenchmarkId::from_parameter(name), |b| {
                    b.iter(|| machine.run(&[Input::Reals(&image)]).is_ok());
                });
            }
        }
    }
}

criterion_group!(benches, layers);
criterion_main!(benches);
