//! A program made ready for one kind of processor: checked, its steps joined and put in order, its weights packed.

use crate::arena::Arena;
use crate::check::check;
use crate::curve::Curve;
use crate::depthwise::Depthwise;
use crate::error::NetworkError;
use crate::fusion::fuse;
use crate::kernel::{Cpu, Kernels};
use crate::product::Multiplication;
use crate::program::{Op, Product, Program, Tensor};
use crate::schedule::schedule;
use crate::sliding::Sliding;
use crate::winograd::Winograd;

/// Most bytes of all tensors that live together.
const MOST_BYTES: u64 = 1 << 31;

/// Fewest multiplications that are worth being divided among threads: waking one takes some ten microseconds.
const SHARED: u64 = 1 << 20;

/// A checked program with its weights packed for one kind of processor. Machines share it.
pub struct Prepared {
    pub(crate) kernels: &'static Kernels,
    cpu: Cpu,
    pub(crate) steps: Vec<Ready>,
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) inputs: Vec<u32>,
    pub(crate) outputs: Vec<u32>,
    /// By output: how many steps make it and those before it.
    pub(crate) ends: Vec<usize>,
    pub(crate) arena: Arena,
}

/// A step with what it needs at hand.
pub(crate) struct Ready {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) products: u64,
    pub(crate) work: Work,
    /// What becomes of each real of the result.
    pub(crate) curve: Option<Curve>,
    pub(crate) inputs: Vec<u32>,
    pub(crate) output: u32,
}

pub(crate) enum Work {
    Multiplication(Box<Multiplication>),
    Winograd(Box<Winograd>),
    Sliding(Box<Sliding>),
    Depthwise(Box<Depthwise>),
    Plain(Op),
}

impl Ready {
    /// How many of so many lanes it is divided among.
    pub(crate) fn lanes(&self, count: usize) -> usize {
        if self.products < SHARED { 1 } else { count }
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").field("cpu", &self.cpu).field("steps", &self.steps.len()).finish_non_exhaustive()
    }
}

impl Prepared {
    /// Checks `program` and packs its weights for `cpu`.
    ///
    /// # Errors
    /// For a program that contradicts itself or needs too much memory, and for a processor that is not this one.
    pub fn new(mut program: Program, cpu: Cpu) -> Result<Prepared, NetworkError> {
        let kernels = Kernels::of(cpu)?;
        check(&program)?;
        let curves = fuse(&mut program);
        let ends = schedule(&mut program);
        let arena = Arena::plan(&program);
        let bytes = arena.bytes as u64 + 4 * arena.reals as u64;
        if bytes > MOST_BYTES {
            return Err(NetworkError::TooLarge { bytes, most: MOST_BYTES });
        }
        let Program { tensors, steps, inputs, outputs } = program;
        let steps = steps
            .into_iter()
            .map(|step| {
                let output = &tensors[step.output as usize];
                let kind = step.op.name();
                let (products, work) = match step.op {
                    Op::Product(product) => (
                        product.products(output),
                        prepare(kernels, &product, &tensors[step.inputs[0] as usize], output),
                    ),
                    op => (0, Work::Plain(op)),
                };
                let kind = if matches!(work, Work::Depthwise(_)) { "depthwise product" } else { kind };
                let curve = curves[step.output as usize];
                Ready { name: step.name, kind, products, work, curve, inputs: step.inputs, output: step.output }
            })
            .collect();
        Ok(Prepared { kernels, cpu, steps, tensors, inputs, outputs, ends, arena })
    }

    /// The processor for which it is packed.
    pub fn cpu(&self) -> Cpu {
        self.cpu
    }
}

fn prepare(kernels: &'static Kernels, product: &Product, input: &Tensor, output: &Tensor) -> Work {
    if let Some(depthwise) = Depthwise::new(kernels, product, input, output) {
        return Work::Depthwise(Box::new(depthwise));
    }
    if let Some(winograd) = Winograd::new(kernels, product, input, output) {
        return Work::Winograd(Box::new(winograd));
    }
    match Sliding::new(kernels, product, input, output) {
        Some(sliding) => Work::Sliding(Box::new(sliding)),
        None => Work::Multiplication(Box::new(Multiplication::new(kernels, product, input, output))),
    }
}
