//! A program while its steps are being written.

use std::collections::HashMap;
use std::rc::Rc;

use shelfwatch_network::{Bounds, Element, Op, Order, Pool, Product, Program, Step, Tensor, Weights};

use super::value::{Form, Kind, Scaled, Shape, Value, within};

/// Steps, tensors, and what was made already.
#[derive(Default)]
pub(super) struct Builder {
    program: Program,
    /// Results by inputs and rounding, so that nothing is computed twice.
    rounded: HashMap<(String, [u32; 3]), Scaled>,
    real: HashMap<String, u32>,
}

impl Builder {
    /// The program without what no output needs, and the places that its inputs had among those given.
    pub(super) fn finish(self) -> (Program, Vec<usize>) {
        let Program { tensors, steps, inputs, outputs } = self.program;
        let mut needed = vec![false; tensors.len()];
        for &at in &outputs {
            needed[at as usize] = true;
        }
        for step in steps.iter().rev() {
            if needed[step.output as usize] {
                step.inputs.iter().for_each(|&at| needed[at as usize] = true);
            }
        }
        let mut number = 0;
        let numbers: Vec<u32> = needed.iter().map(|&n| (number, number += u32::from(n)).0).collect();
        let renumbered = |at: u32| numbers[at as usize];
        let steps = steps
            .into_iter()
            .filter(|step| needed[step.output as usize])
            .map(|step| Step {
                inputs: step.inputs.iter().map(|&at| renumbered(at)).collect(),
                output: renumbered(step.output),
                ..step
            })
            .collect();
        let kept: Vec<usize> = (0..inputs.len()).filter(|&i| needed[inputs[i] as usize]).collect();
        let program = Program {
            tensors: tensors.into_iter().zip(&needed).filter(|(_, needed)| **needed).map(|(t, _)| t).collect(),
            steps,
            inputs: kept.iter().map(|&i| renumbered(inputs[i])).collect(),
            outputs: outputs.into_iter().map(renumbered).collect(),
        };
        (program, kept)
    }

    fn add(&mut self, shape: &Shape, element: Element, order: Order) -> u32 {
        let [rows, columns, channels] = [shape.rows, shape.columns, shape.channels].map(|e| e as u32);
        self.program.tensors.push(Tensor { rows, columns, channels, element, order });
        self.program.tensors.len() as u32 - 1
    }

    fn step(&mut self, name: &str, op: Op, inputs: Vec<u32>, output: u32) -> u32 {
        self.program.steps.push(Step { name: name.to_owned(), op, inputs, output });
        output
    }

    fn tensor(&self, at: u32) -> Tensor {
        self.program.tensors[at as usize]
    }

    /// The zero point of a tensor of bytes.
    pub(super) fn zero(&self, at: u32) -> i8 {
        match self.tensor(at).element {
            Element::Byte { zero } => zero,
            Element::Real => 0,
        }
    }

    /// A tensor that the program is given.
    pub(super) fn given(&mut self, shape: &Shape, order: Order) -> u32 {
        let at = self.add(shape, Element::Real, order);
        self.program.inputs.push(at);
        at
    }

    /// The real tensor that `value` is, laid out in pixels.
    pub(super) fn reals(&mut self, name: &str, value: &Value) -> Option<u32> {
        if let Kind::Reals(at) = &value.kind
            && self.tensor(*at).order == Order::Pixels
        {
            return Some(*at);
        }
        let key = value.kind.key();
        if let Some(&done) = self.real.get(&key) {
            return Some(done);
        }
        let made = self.computed(name, &value.shape, &value.kind)?;
        self.real.insert(key, made);
        Some(made)
    }

    fn computed(&mut self, name: &str, shape: &Shape, kind: &Kind) -> Option<u32> {
        let scaled = |builder: &mut Builder, part: &Scaled, shape: &Shape| {
            builder.reals(name, &Value { shape: *shape, kind: Kind::Bytes(*part) })
        };
        let (op, inputs) = match kind {
            Kind::Reals(at) => (Op::Arrange, vec![*at]),
            Kind::Bytes(Scaled { tensor, factor }) => (Op::Dequantise { scale: *factor }, vec![*tensor]),
            Kind::Mapped(tensor, table) => (Op::LookupReal(table.to_vec()), vec![*tensor]),
            Kind::Product { input, base, factors, bounds } => {
                (Op::Product(scaled_product(base, factors.to_vec(), *bounds)), vec![*input])
            }
            Kind::Mean { input, factor } => (Op::Mean { factor: *factor, bounds: Bounds::NONE }, vec![*input]),
            Kind::Sum { parts: [a, b], bounds } => {
                (Op::AddReal { bounds: *bounds }, vec![scaled(self, a, shape)?, scaled(self, b, shape)?])
            }
            Kind::Joined(parts) => {
                let parts: Option<Vec<u32>> = parts
                    .iter()
                    .map(|(part, channels)| scaled(self, part, &Shape { channels: *channels, ..*shape }))
                    .collect();
                (Op::Join, parts?)
            }
            Kind::Times { parts: [a, b], factor } => {
                let alone = Shape { rows: 1, columns: 1, ..*shape };
                let spread = self.tensor(*b).positions() != shape.positions();
                let a = scaled(self, &Scaled { tensor: *a, factor: *factor }, shape)?;
                let b = scaled(self, &Scaled { tensor: *b, factor: 1.0 }, if spread { &alone } else { shape })?;
                (Op::MultiplyReal, vec![a, b])
            }
            Kind::Average { input, window, padded, factor } => {
                let pool = Pool { window: *window, padded: *padded, factor: *factor, bounds: Bounds::NONE };
                (Op::Average(pool), vec![*input])
            }
        };
        Some(self.real_step(name, op, inputs, shape))
    }

    /// Makes `value` an output of the program, laid out as the graph has it.
    pub(super) fn output(&mut self, name: &str, value: &Value) -> Option<()> {
        let vector = value.shape.positions() == 1 || value.shape.channels == 1;
        let order = if vector || value.shape.form == Form::Sequence { Order::Pixels } else { Order::Planes };
        let at = match &value.kind {
            Kind::Reals(at) if self.tensor(*at).order == order && !self.program.inputs.contains(at) => *at,
            Kind::Bytes(Scaled { tensor, factor }) if order == Order::Planes => {
                let to = self.add(&value.shape, Element::Real, order);
                self.step(name, Op::Dequantise { scale: *factor }, vec![*tensor], to)
            }
            _ => {
                let at = self.reals(name, value)?;
                if order == Order::Pixels && !self.program.inputs.contains(&at) {
                    at
                } else {
                    let to = self.add(&value.shape, Element::Real, order);
                    self.step(name, Op::Arrange, vec![at], to)
                }
            }
        };
        self.program.outputs.push(at);
        Some(())
    }

    /// Bytes of `value / step`, rounded and saturated to whole bounds; `None` where they do not fit a byte.
    pub(super) fn round(&mut self, name: &str, value: &Value, step: f32, bounds: Bounds) -> Option<Scaled> {
        let zero = zero_for(bounds)?;
        if let Kind::Bytes(Scaled { tensor, factor }) = &value.kind
            && factor.to_bits() == step.to_bits()
            && self.zero(*tensor) == zero
            && bounds.high - bounds.low >= 255.0
        {
            return Some(Scaled { tensor: *tensor, factor: 1.0 });
        }
        let key = (value.kind.key(), [step, bounds.low, bounds.high].map(f32::to_bits));
        if let Some(done) = self.rounded.get(&key) {
            return Some(*done);
        }
        let made = Scaled { tensor: self.rounded_step(name, value, step, bounds, zero)?, factor: 1.0 };
        self.rounded.insert(key, made);
        Some(made)
    }

    fn rounded_step(&mut self, name: &str, value: &Value, step: f32, bounds: Bounds, zero: i8) -> Option<u32> {
        let shape = &value.shape;
        let (op, inputs) = match &value.kind {
            Kind::Reals(at) => (Op::Quantise { step, bounds }, vec![*at]),
            Kind::Bytes(Scaled { tensor, factor }) => {
                let from = self.zero(*tensor);
                let table = table(|byte| (f32::from(byte) - f32::from(from)) * factor);
                (lookup(&table, step, bounds, zero), vec![*tensor])
            }
            Kind::Mapped(tensor, table) => (lookup(table, step, bounds, zero), vec![*tensor]),
            Kind::Product { input, base, factors, bounds: real } => {
                if matches!(base.weights, Weights::Reals { .. }) {
                    (Op::Quantise { step, bounds }, vec![self.reals(name, value)?])
                } else {
                    let factors = factors.iter().map(|f| f / step).collect();
                    (Op::Product(scaled_product(base, factors, rounded_bounds(*real, step, bounds))), vec![*input])
                }
            }
            Kind::Sum { parts: [a, b], bounds: real } => {
                let bounds = rounded_bounds(*real, step, bounds);
                (Op::Add { left: a.factor, right: b.factor, step, bounds }, vec![a.tensor, b.tensor])
            }
            Kind::Times { parts, factor } => (Op::Multiply { factor: factor / step, bounds }, parts.to_vec()),
            Kind::Mean { input, factor } => (Op::Mean { factor: factor / step, bounds }, vec![*input]),
            Kind::Average { input, window, padded, factor } => {
                let pool = Pool { window: *window, padded: *padded, factor: factor / step, bounds };
                (Op::Average(pool), vec![*input])
            }
            Kind::Joined(parts) => {
                let mut inputs = vec![];
                for (part, channels) in parts {
                    let part = Value { shape: Shape { channels: *channels, ..*shape }, kind: Kind::Bytes(*part) };
                    inputs.push(self.round(name, &part, step, bounds)?.tensor);
                }
                (Op::Join, inputs)
            }
        };
        let to = self.add(shape, Element::Byte { zero }, Order::Pixels);
        Some(self.step(name, op, inputs, to))
    }

    /// A result of the kind of its first input: bytes with the same zero point, or reals.
    pub(super) fn step_like(&mut self, name: &str, op: Op, inputs: Vec<u32>, shape: &Shape) -> u32 {
        let to = self.add(shape, self.tensor(inputs[0]).element, Order::Pixels);
        self.step(name, op, inputs, to)
    }

    /// Reals from reals.
    pub(super) fn real_step(&mut self, name: &str, op: Op, inputs: Vec<u32>, shape: &Shape) -> u32 {
        let to = self.add(shape, Element::Real, Order::Pixels);
        self.step(name, op, inputs, to)
    }
}

/// The byte that stands for 0 where integers reach from `low` to `high`.
fn zero_for(bounds: Bounds) -> Option<i8> {
    let Bounds { low, high } = bounds;
    let whole = low.fract() == 0.0 && high.fract() == 0.0 && low <= high && high - low <= 255.0;
    let zero = -128.0 - low;
    (whole && (-128.0..=127.0).contains(&zero)).then_some(zero as i8)
}

/// The product with these factors and bounds.
fn scaled_product(base: &Product, factors: Vec<f32>, bounds: Bounds) -> Product {
    let weights = match &base.weights {
        Weights::Bytes { values, bias, .. } => Weights::Bytes { values: values.clone(), bias: bias.clone(), factors },
        reals @ Weights::Reals { .. } => reals.clone(),
    };
    Product { weights, bounds, ..*base }
}

/// Bounds in integers of a result that is also bounded before it is rounded.
fn rounded_bounds(real: Bounds, step: f32, bounds: Bounds) -> Bounds {
    let whole = |v: f32| (v / step).round_ties_even();
    within(Bounds { low: whole(real.low), high: whole(real.high) }, bounds)
}

/// Values for −128 to 127.
pub(super) fn table(f: impl Fn(i8) -> f32) -> Rc<[f32; 256]> {
    Rc::new(std::array::from_fn(|at| f((at as u8 ^ 0x80).cast_signed())))
}

fn lookup(table: &[f32; 256], step: f32, bounds: Bounds, zero: i8) -> Op {
    let byte = |value: &f32| {
        let whole = (value / step).clamp(bounds.low, bounds.high).round_ties_even();
        (whole + f32::from(zero)) as i8
    };
    Op::Lookup(table.iter().map(byte).collect())
}
