//! Times a network of the shapes of MobileNetV2 (1.0, 224 × 224) with random weights:
//! `mobile RUNS [CPU]` prints the milliseconds of one image, on the fastest kind of processor unless one is named.
//! It says nothing about accuracy.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use shelfwatch_network::{
    Bounds, Cpu, Element, Input, Machine, NetworkError, Op, Order, Prepared, Product, Program, Step, Tensor, Weights,
    Window,
};

/// Expansion, output channels, repeats and first stride of each group of blocks: table 2 of Sandler et al. 2018.
const GROUPS: [[u32; 4]; 7] =
    [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]];
const SIZE: u32 = 224;
const CLASSES: u32 = 1000;

/// Least byte stands for 0 after ReLU6, the middle one elsewhere.
const CLIPPED: i8 = -128;
const SIGNED: i8 = 0;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runs = arguments.first().and_then(|runs| runs.parse().ok());
    let cpu = match arguments.get(1) {
        Some(name) => Cpu::ALL.into_iter().find(|c| c.name() == name),
        None => Some(Cpu::detect()),
    };
    let (Some(runs), Some(cpu)) = (runs, cpu) else {
        eprintln!("usage: mobile RUNS [{}]", Cpu::ALL.map(Cpu::name).join("|"));
        return ExitCode::from(2);
    };
    match time(runs, cpu) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn time(runs: u32, cpu: Cpu) -> Result<(), NetworkError> {
    let mut machine = Machine::new(Arc::new(Prepared::new(Builder::network(), cpu)?));
    let mut random = Random(1);
    let image: Vec<f32> = (0..3 * SIZE * SIZE).map(|_| f32::from(random.byte()) / 64.0).collect();
    let start = Instant::now();
    let mut hash = 0;
    for _ in 0..runs {
        let results = machine.run(&[Input::Reals(&image)])?;
        let values = results.output(0).unwrap_or_default();
        hash = values.iter().fold(0_u32, |hash, v| hash.rotate_left(5) ^ v.to_bits());
    }
    let milliseconds = start.elapsed().as_secs_f64() * 1000.0 / f64::from(runs.max(1));
    println!("{}: {milliseconds:.2} ms, results {hash:08x}", cpu.name());
    Ok(())
}

struct Random(u64);

impl Random {
    /// In −127 to 127, the small ones more often, as weights are.
    fn byte(&mut self) -> i8 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let part = |shift: u32| (self.0 >> shift & 0x7F) as i32;
        (part(57) + part(50) - part(43) - part(36)).clamp(-127, 127) as i8
    }
}

struct Builder {
    program: Program,
    random: Random,
}

impl Builder {
    fn network() -> Program {
        let program = Program { tensors: vec![], steps: vec![], inputs: vec![0], outputs: vec![] };
        let mut builder = Builder { program, random: Random(2) };
        let image = Tensor { rows: SIZE, columns: SIZE, channels: 3, element: Element::Real, order: Order::Planes };
        builder.program.tensors.push(image);
        let bytes = Tensor { element: Element::Byte { zero: SIGNED }, order: Order::Pixels, ..image };
        let mut at = builder.step(Op::Quantise { step: 1.0 / 64.0, bounds: whole(SIGNED) }, vec![0], bytes);
        at = builder.convolve(at, [3, 2], 32, false, CLIPPED);
        for [expansion, channels, repeats, stride] in GROUPS {
            for repeat in 0..repeats {
                at = builder.block(at, expansion, channels, if repeat == 0 { stride } else { 1 });
            }
        }
        at = builder.convolve(at, [1, 1], 1280, false, CLIPPED);
        let last = builder.program.tensors[at as usize];
        let factor = 1.0 / last.positions() as f32;
        at =
            builder.step(Op::Mean { factor, bounds: whole(CLIPPED) }, vec![at], Tensor { rows: 1, columns: 1, ..last });
        at = builder.convolve(at, [1, 1], CLASSES, false, SIGNED);
        let scores = Tensor { element: Element::Real, ..builder.program.tensors[at as usize] };
        at = builder.step(Op::Dequantise { scale: 0.1 }, vec![at], scores);
        builder.program.outputs.push(at);
        builder.program
    }

    /// An inverted residual.
    fn block(&mut self, input: u32, expansion: u32, channels: u32, stride: u32) -> u32 {
        let from = self.program.tensors[input as usize];
        let mut at = input;
        if expansion > 1 {
            at = self.convolve(at, [1, 1], from.channels * expansion, false, CLIPPED);
        }
        at = self.convolve(at, [3, stride], from.channels * expansion, true, CLIPPED);
        at = self.convolve(at, [1, 1], channels, false, SIGNED);
        if stride > 1 || from.channels != channels {
            return at;
        }
        let add = Op::Add { left: 0.04, right: 0.03, step: 0.05, bounds: whole(SIGNED) };
        self.step(add, vec![input, at], from)
    }

    fn convolve(&mut self, input: u32, [kernel, stride]: [u32; 2], channels: u32, depthwise: bool, zero: i8) -> u32 {
        let from = self.program.tensors[input as usize];
        let before = kernel / 2;
        let window = Window { kernel: [kernel; 2], stride: [stride; 2], before: [before; 2], dilation: [1; 2] };
        let groups = if depthwise { channels } else { 1 };
        let length = kernel * kernel * from.channels / groups;
        let values = (0..length * channels).map(|_| self.random.byte()).collect();
        let bias = (0..channels).map(|_| i32::from(self.random.byte()) * 16).collect();
        // The sums of so many random products spread over about one byte.
        let factors = (0..channels)
            .map(|_| (1.0 + f32::from(self.random.byte()) / 256.0) / (64.0 * (length as f32).sqrt()))
            .collect();
        let weights = Weights::Bytes { values, bias, factors };
        let product = Product { window, groups, weights, bounds: whole(zero) };
        let [rows, columns] = [from.rows, from.columns].map(|extent| extent.div_ceil(stride));
        let output = Tensor { rows, columns, channels, element: Element::Byte { zero }, order: Order::Pixels };
        self.step(Op::Product(product), vec![input], output)
    }

    fn step(&mut self, op: Op, inputs: Vec<u32>, tensor: Tensor) -> u32 {
        let output = self.program.tensors.len() as u32;
        self.program.tensors.push(tensor);
        let name = self.program.steps.len().to_string();
        self.program.steps.push(Step { name, op, inputs, output });
        output
    }
}

/// All bytes around a zero point.
fn whole(zero: i8) -> Bounds {
    Bounds { low: -128.0 - f32::from(zero), high: 127.0 - f32::from(zero) }
}
