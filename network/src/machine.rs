//! The memory with which a program that was made ready runs, image by image.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::NetworkError;
use crate::lanes::{Lane, divide};
use crate::plain_step::{Context, bytes_to_bytes, bytes_to_reals, curved, reals_to_bytes, reals_to_reals};
use crate::prepared::{Prepared, Ready, Work};
use crate::product::Target;
use crate::program::{Element, Tensor};

/// Values that the caller gives for one input.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Reals, in the order of the input's tensor.
    Reals(&'a [f32]),
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
                    Work::Sliding(work) => work.reserve(scratch),
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

    /// Threads that compute one image.
    pub fn threads(&self) -> usize {
        self.lanes.len()
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
    pub fn run(&mut self, inputs: &[Input<'_>]) -> Result<Results<'_>, NetworkError> {
        self.run_first(self.prepared.outputs.len(), inputs)
    }

    /// Computes the first `count` outputs for one image, at least one; the others are computed where [`Results::finish`] asks
    /// for them.
    ///
    /// # Errors
    /// As [`Machine::run`].
    pub fn run_first(&mut self, count: usize, inputs: &[Input<'_>]) -> Result<Results<'_>, NetworkError> {
        let prepared = &self.prepared;
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
        let mut results = Results { machine: self, done: 0 };
        results.compute(count.max(1), inputs);
        Ok(results)
    }

    fn compute(&mut self, steps: Range<usize>, inputs: &[Input<'_>]) {
        if steps.is_empty() {
            return;
        }
        let prepared = Arc::clone(&self.prepared);
        let all = |machine: &mut Machine| {
            for at in steps {
                let start = machine.times.is_some().then(Instant::now);
                machine.step(&prepared, &prepared.steps[at], inputs);
                if let (Some(times), Some(start)) = (&mut machine.times, start) {
                    times[at] += start.elapsed();
                }
            }
        };
        #[cfg(feature = "threads")]
        if let Some(pool) = self.pool.clone() {
            pool.install(|| all(self));
            return;
        }
        all(self);
    }

    /// Where output `index` lies, whether or not it is computed.
    fn output(&self, index: usize) -> Option<&[f32]> {
        let &tensor = self.prepared.outputs.get(index)?;
        Some(&self.reals[self.prepared.arena.places[tensor as usize].clone()])
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
                    Work::Sliding(work) => divide(lanes, work.lines(), line, out, &|part, lane, out| {
                        work.of_bytes(part, parts.get(&from), &mut lane.scratch, out);
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
                    Work::Sliding(_) | Work::Depthwise(_) => unreachable!("its result is bytes"),
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
                    Work::Sliding(_) => unreachable!("it takes bytes"),
                }
            }
        }
        if let Some(curve) = step.curve {
            let out = &mut reals[places[step.output as usize].clone()];
            divide(lanes, 0..out.len(), 1, out, &|_, _, out| curved(kernels, curve, out));
        }
    }
}

/// What a machine made of one image. No other image is computed while this is read.
#[derive(Debug)]
pub struct Results<'m> {
    machine: &'m mut Machine,
    /// Outputs that are computed.
    done: usize,
}

impl<'m> Results<'m> {
    /// Output `index`; `None` where it is not computed, or there is none.
    pub fn output(&self, index: usize) -> Option<&[f32]> {
        self.machine.output(index).filter(|_| index < self.done)
    }

    /// The first so many outputs, each as [`Results::output`] has it.
    pub fn outputs<const N: usize>(self) -> [Option<&'m [f32]>; N] {
        let Results { machine, done } = self;
        let machine: &'m Machine = machine;
        std::array::from_fn(|index| machine.output(index).filter(|_| index < done))
    }

    /// Computes the outputs that are left.
    pub fn finish(&mut self) {
        // Steps that read what the caller gives are not put off beyond the first output.
        self.compute(self.machine.prepared.outputs.len(), &[]);
    }

    /// Computes the outputs before `count` that are left.
    fn compute(&mut self, count: usize, inputs: &[Input<'_>]) {
        let ends = &self.machine.prepared.ends;
        let (before, count) = (self.done, count.clamp(self.done, ends.len()));
        let end = |count: usize| count.checked_sub(1).map_or(0, |last| ends[last]);
        let steps = end(before)..end(count);
        self.machine.compute(steps, inputs);
        self.done = count;
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
