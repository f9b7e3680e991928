//! A program made ready for one processor, and the memory with which it runs, image by image.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::arena::Arena;
use crate::check::check;
use crate::curve::Curve;
use crate::depthwise::Depthwise;
use crate::error::NetworkError;
use crate::fusion::fuse;
use crate::kernel::{Cpu, Kernels};
use crate::lanes::{Lane, divide};
use crate::plain_step::{Context, bytes_to_bytes, bytes_to_reals, curved, reals_to_bytes, reals_to_reals};
use crate::product::{Multiplication, Target};
use crate::program::{Element, Op, Product, Program, Tensor};
use crate::winograd::Winograd;

/// Most bytes of all tensors that live together.
const MOST_BYTES: u64 = 1 << 31;

/// Fewest multiplications that are worth being divided among threads: waking one takes some ten microseconds.
const SHARED: u64 = 1 << 20;

/// Values that the caller gives for one input.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Reals, in the order of the input's tensor.
    Reals(&'a [f32]),
}

/// A checked program with its weights packed for one kind of processor. Machines share it.
pub struct Prepared {
    kernels: &'static Kernels,
    cpu: Cpu,
    steps: Vec<Ready>,
    tensors: Vec<Tensor>,
    inputs: Vec<u32>,
    outputs: Vec<u32>,
    arena: Arena,
}

/// What a step is, for people who look where the time goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepFacts<'a> {
    /// Name of the node in the network's own file.
    pub name: &'a str,
    /// What is computed.
    pub kind: &'static str,
    /// Rows, columns and channels of the result.
    pub output: [u32; 3],
    /// Multiplications of weights.
    pub products: u64,
    /// Time since [`Machine::measure`].
    pub time: Duration,
}

/// A step with what it needs at hand.
struct Ready {
    name: String,
    kind: &'static str,
    products: u64,
    work: Work,
    /// What becomes of each real of the result.
    curve: Option<Curve>,
    inputs: Vec<u32>,
    output: u32,
}

enum Work {
    Multiplication(Box<Multiplication>),
    Winograd(Box<Winograd>),
    Depthwise(Box<Depthwise>),
    Plain(Op),
}

impl Ready {
    /// How many of so many lanes it is divided among.
    fn lanes(&self, count: usize) -> usize {
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
        Ok(Prepared { kernels, cpu, steps, tensors, inputs, outputs, arena })
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
    match Winograd::new(kernels, product, input, output) {
        Some(winograd) => Work::Winograd(Box::new(winograd)),
        None => Work::Multiplication(Box::new(Multiplication::new(kernels, product, input, output))),
    }
}

/// Memory for one image at a time on a [`Prepared`] program. Nothing is allocated after it is made.
pub struct Machine {
    prepared: Arc<Prepared>,
    bytes: Vec<i8>,
    reals: Vec<f32>,
    /// One for each thread.
    lanes: Vec<Lane>,
    #[cfg(feature = "threads")]
    pool: Option<Arc<rayon::ThreadPool>>,
    sums: Vec<i32>,
    times: Option<Vec<Duration>>,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("prepared", &self.prepared).finish_non_exhaustive()
    }
}

impl Machine {
    /// A machine for one thread.
    pub fn new(prepared: Arc<Prepared>) -> Machine {
        Machine::with_lanes(prepared, 1)
    }

    /// A machine that computes large steps with so many threads, which it keeps. The results are those of one thread,
    /// to the bit. Only the queue through which images enter takes new memory now and then.
    ///
    /// # Errors
    /// Where the system gives no more threads.
    #[cfg(feature = "threads")]
    pub fn with_threads(prepared: Arc<Prepared>, threads: usize) -> Result<Machine, NetworkError> {
        let count = threads.max(1);
        let mut machine = Machine::with_lanes(prepared, count);
        if count > 1 {
            let name = |at| format!("network-{at}");
            let pool = rayon::ThreadPoolBuilder::new().num_threads(count).thread_name(name).build();
            let pool = pool.map_err(|error| NetworkError::Threads { count, why: error.to_string() })?;
            machine.pool = Some(Arc::new(pool));
        }
        Ok(machine)
    }

    fn with_lanes(prepared: Arc<Prepared>, count: usize) -> Machine {
        let mut lanes: Vec<Lane> = (0..count).map(|_| Lane::default()).collect();
        for step in &prepared.steps {
            for Lane { scratch, windows } in &mut lanes[..step.lanes(count)] {
                match &step.work {
                    Work::Multiplication(work) => work.reserve(scratch),
                    Work::Winograd(work) => work.reserve(scratch),
                    Work::Depthwise(work) => work.reserve(windows),
                    Work::Plain(_) => {}
                }
            }
        }
        let widest = prepared.tensors.iter().map(|t| t.channels as usize).max().unwrap_or(0);
        Machine {
            bytes: vec![0; prepared.arena.bytes],
            reals: vec![0.0; prepared.arena.reals],
            lanes,
            #[cfg(feature = "threads")]
            pool: None,
            sums: vec![0; widest],
            times: None,
            prepared,
        }
    }

    /// Measures each step from now on.
    pub fn measure(&mut self) {
        self.times = Some(vec![Duration::ZERO; self.prepared.steps.len()]);
    }

    /// Every step, with the time that it took since [`Machine::measure`].
    pub fn steps(&self) -> impl Iterator<Item = StepFacts<'_>> {
        let times = self.times.iter().flatten().copied().chain(std::iter::repeat(Duration::ZERO));
        self.prepared.steps.iter().zip(times).map(|(step, time)| {
            let Tensor { rows, columns, channels, .. } = self.prepared.tensors[step.output as usize];
            let output = [rows, columns, channels];
            StepFacts { name: &step.name, kind: step.kind, output, products: step.products, time }
        })
    }

    /// Computes all outputs for one image. Its values are finite; what is not would leave no trace in bytes.
    ///
    /// # Errors
    /// For another number of inputs or values than the program has.
    pub fn run(&mut self, inputs: &[Input<'_>]) -> Result<(), NetworkError> {
        let prepared = Arc::clone(&self.prepared);
        if inputs.len() != prepared.inputs.len() {
            let (expected, found) = (prepared.inputs.len(), inputs.len());
            return Err(NetworkError::Input { index: 0, expected, found });
        }
        for (index, (&tensor, Input::Reals(values))) in prepared.inputs.iter().zip(inputs).enumerate() {
            let expected = prepared.tensors[tensor as usize].volume();
            if values.len() != expected {
                return Err(NetworkError::Input { index, expected, found: values.len() });
            }
        }
        #[cfg(feature = "threads")]
        if let Some(pool) = self.pool.clone() {
            pool.install(|| self.compute(&prepared, inputs));
            return Ok(());
        }
        self.compute(&prepared, inputs);
        Ok(())
    }

    fn compute(&mut self, prepared: &Prepared, inputs: &[Input<'_>]) {
        for (at, step) in prepared.steps.iter().enumerate() {
            let start = self.times.is_some().then(Instant::now);
            self.step(prepared, step, inputs);
            if let (Some(times), Some(start)) = (&mut self.times, start) {
                times[at] += start.elapsed();
            }
        }
    }

    /// Output `index` of the last image.
    pub fn output(&self, index: usize) -> &[f32] {
        &self.reals[self.prepared.arena.places[self.prepared.outputs[index] as usize].clone()]
    }

    fn step(&mut self, prepared: &Prepared, step: &Ready, given: &[Input<'_>]) {
        let Machine { bytes, reals, lanes, sums, .. } = self;
        let count = step.lanes(lanes.len());
        let lanes = &mut lanes[..count];
        let (kernels, places) = (prepared.kernels, &prepared.arena.places);
        let number = step.inputs[0];
        let input = prepared.tensors[number as usize];
        let output = prepared.tensors[step.output as usize];
        let (from, to) = (places[number as usize].clone(), places[step.output as usize].clone());
        let context = Context { kernels, prepared: &prepared.tensors, inputs: &step.inputs, input, output };
        let outside = |at: u32| {
            let index = prepared.inputs.iter().position(|&i| i == at)?;
            given.get(index).map(|&Input::Reals(values)| values)
        };
        // Values of one output position, and of one row of them.
        let size = output.channels as usize;
        let line = output.columns as usize * size;
        match (input.element, output.element) {
            (Element::Byte { .. }, Element::Byte { zero }) => {
                let (parts, out) = Parts::around(bytes, to);
                match &step.work {
                    Work::Multiplication(work) => divide(lanes, work.positions(), size, out, &|part, lane, out| {
                        work.of_bytes(part, parts.get(&from), &mut lane.scratch, Target::Bytes(out, zero));
                    }),
                    Work::Winograd(work) => divide(lanes, work.lines(), 2 * line, out, &|part, lane, out| {
                        work.of_bytes(part, parts.get(&from), &mut lane.scratch, Target::Bytes(out, zero));
                    }),
                    Work::Depthwise(work) => divide(lanes, work.lines(), line, out, &|part, lane, out| {
                        work.of_bytes(part, parts.get(&from), &mut lane.windows, out);
                    }),
                    Work::Plain(op) => {
                        bytes_to_bytes(&context, op, |at| parts.get(&places[at as usize]), sums, out);
                    }
                }
            }
            (Element::Byte { .. }, Element::Real) => {
                let (input, out) = (&bytes[from], &mut reals[to]);
                match &step.work {
                    Work::Multiplication(work) => divide(lanes, work.positions(), size, out, &|part, lane, out| {
                        work.of_bytes(part, input, &mut lane.scratch, Target::Reals(out));
                    }),
                    Work::Winograd(work) => divide(lanes, work.lines(), 2 * line, out, &|part, lane, out| {
                        work.of_bytes(part, input, &mut lane.scratch, Target::Reals(out));
                    }),
                    Work::Plain(op) => bytes_to_reals(&context, op, input, sums, out),
                    Work::Depthwise(_) => unreachable!("its result is bytes"),
                }
            }
            (Element::Real, Element::Byte { .. }) => {
                let Work::Plain(op) = &step.work else { unreachable!("products of reals give reals") };
                let input = outside(number).unwrap_or_else(|| &reals[from]);
                reals_to_bytes(&context, op, input, &mut bytes[to]);
            }
            (Element::Real, Element::Real) => {
                let (parts, out) = Parts::around(reals, to);
                let part = |at: u32| outside(at).unwrap_or_else(|| parts.get(&places[at as usize]));
                match &step.work {
                    Work::Multiplication(work) => divide(lanes, work.positions(), size, out, &|range, lane, out| {
                        work.of_reals(range, part(number), &mut lane.scratch, out);
                    }),
                    Work::Winograd(work) => divide(lanes, work.lines(), 2 * line, out, &|range, lane, out| {
                        work.of_reals(range, part(number), &mut lane.scratch, out);
                    }),
                    Work::Depthwise(work) => divide(lanes, work.lines(), line, out, &|range, lane, out| {
                        work.of_reals(range, part(number), &mut lane.windows, out);
                    }),
                    Work::Plain(op) => reals_to_reals(&context, op, part, out),
                }
            }
        }
        if let Some(curve) = step.curve {
            let out = &mut reals[places[step.output as usize].clone()];
            divide(lanes, 0..out.len(), 1, out, &|_, _, out| curved(kernels, curve, out));
        }
    }
}

/// What lies before and after the place of a result.
struct Parts<'a, T> {
    before: &'a [T],
    after: &'a [T],
    /// Where `after` begins.
    end: usize,
}

impl<'a, T> Parts<'a, T> {
    fn around(all: &'a mut [T], place: Range<usize>) -> (Parts<'a, T>, &'a mut [T]) {
        let (before, rest) = all.split_at_mut(place.start);
        let (result, after) = rest.split_at_mut(place.len());
        (Parts { before, after, end: place.end }, result)
    }

    fn get(&self, place: &Range<usize>) -> &'a [T] {
        if place.start >= self.end {
            &self.after[place.start - self.end..][..place.len()]
        } else {
            &self.before[place.clone()]
        }
    }
}
