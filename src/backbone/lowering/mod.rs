//! Turns the graph of a network into programs of bytes and reals (`shelfwatch-network`), as far as its operators are
//! known there. What is not known stays in the graph, between the programs, for the inference engine.
//!
//! Works on the graph after rewriting, in which a quantised tensor is held as `q − zero point` and rounding stands in
//! nodes of its own: whatever way of quantising a file uses, the same few patterns are left.

mod builder;
mod layers;
mod moves;
mod segment;
mod value;
mod values;

use std::collections::HashMap;

use shelfwatch_network::{Order, Program};
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

use super::engine::Fact;
use super::input_spec::{InputSpec, Layout};
use super::node;
use super::quantised::Quantisation;
use segment::Segment;
use value::{Form, Kind, Scaled, Shape, Value};

/// A part of the graph as a program.
pub(super) struct Part {
    pub(super) program: Program,
    /// Tensors of the graph that it reads.
    pub(super) inputs: Vec<String>,
    /// Tensors of the graph that it makes, with their extents.
    pub(super) outputs: Vec<(String, Vec<usize>)>,
}

/// The graph after lowering.
pub(super) struct Lowered {
    /// Programs, in order; a later one may read what nodes make of an earlier one's results.
    pub(super) parts: Vec<Part>,
    /// For each gap (before the first part, after each part) the nodes that are left.
    pub(super) left: Vec<Vec<NodeProto>>,
}

impl Lowered {
    /// The one program that is the whole network, if it is one.
    pub(super) fn whole(&self) -> Option<&Part> {
        match &self.parts[..] {
            [only] if self.left.iter().all(Vec::is_empty) => Some(only),
            _ => None,
        }
    }
}

/// What lowering reads.
pub(super) struct Source<'g> {
    pub(super) graph: &'g GraphProto,
    pub(super) spec: &'g InputSpec,
    pub(super) facts: &'g HashMap<String, Fact>,
    pub(super) activations: &'g HashMap<String, Quantisation>,
}

/// Lowers a pruned graph whose outputs are those that are read.
pub(super) fn lower(source: &Source<'_>) -> Lowered {
    let graph = source.graph;
    let mut readers: HashMap<&str, usize> = HashMap::new();
    graph.node.iter().flat_map(|n| &n.input).for_each(|i| *readers.entry(i).or_default() += 1);
    graph.output.iter().for_each(|o| *readers.entry(&o.name).or_default() += 2);
    let mut lowering = Lowering {
        source,
        constants: graph.initializer.iter().map(|t| (t.name.as_str(), t)).collect(),
        readers,
        homes: HashMap::new(),
        segments: vec![],
        left: vec![vec![]],
    };
    for from in &graph.node {
        lowering.node(from);
    }
    lowering.finish()
}

/// Where a tensor of the graph is made.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Home {
    /// In the segment of this number.
    Segment(usize),
    /// By a node that is left, after so many segments.
    Left(usize),
}

struct Lowering<'g> {
    source: &'g Source<'g>,
    constants: HashMap<&'g str, &'g TensorProto>,
    /// How often a tensor is read.
    readers: HashMap<&'g str, usize>,
    homes: HashMap<String, Home>,
    segments: Vec<Segment>,
    /// Nodes that are left, by the number of segments before them.
    left: Vec<Vec<NodeProto>>,
}

impl<'g> Lowering<'g> {
    fn node(&mut self, from: &'g NodeProto) {
        let is_moving = |name: &&String| !name.is_empty() && !self.constants.contains_key(name.as_str());
        let moving: Vec<&String> = from.input.iter().filter(is_moving).collect();
        let homes: Vec<Home> = moving.iter().map(|name| self.home(name)).collect();
        let at = homes.iter().map(|&(Home::Segment(at) | Home::Left(at))| at).max().unwrap_or(0);
        let known = !moving.is_empty() && from.output.len() == 1 && from.attribute.iter().all(|a| a.g.is_none());
        if known && let Some(value) = self.value(from, at) {
            self.homes.insert(from.output[0].clone(), Home::Segment(at));
            self.segments[at].values.insert(from.output[0].clone(), value);
            return;
        }
        // It runs when every segment is done that it reads from.
        let after = homes.iter().map(|home| match *home {
            Home::Segment(at) => at + 1,
            Home::Left(after) => after,
        });
        let after = after.max().unwrap_or(0);
        for name in moving {
            self.hand_out(name);
        }
        self.homes.extend(from.output.iter().map(|o| (o.clone(), Home::Left(after))));
        self.left.resize_with(self.left.len().max(after + 1), Vec::new);
        self.left[after].push(from.clone());
    }

    /// Where `tensor` is made; what nobody makes is there from the beginning.
    fn home(&self, tensor: &str) -> Home {
        self.homes.get(tensor).copied().unwrap_or(Home::Left(0))
    }

    /// The value that a node makes in segment `at`, where the node is known.
    fn value(&mut self, from: &'g NodeProto, at: usize) -> Option<Value> {
        self.segments.resize_with(self.segments.len().max(at + 1), Segment::default);
        values::make(self, from, at)
    }

    /// What `tensor` is within segment `at`.
    fn input(&mut self, tensor: &str, at: usize) -> Option<Value> {
        if let Some(value) = self.segments[at].values.get(tensor) {
            return Some(value.clone());
        }
        let value = match self.home(tensor) {
            Home::Segment(earlier) => {
                let shape = self.segments[earlier].values.get(tensor)?.shape;
                self.hand_out(tensor);
                self.given(tensor, at, shape)?
            }
            Home::Left(_) => {
                let fact = self.source.facts.get(tensor)?;
                let shape = Shape::of(&fact.full()?)?;
                if fact.dtype != "f32" {
                    return None;
                }
                self.given(tensor, at, shape)?
            }
        };
        self.segments[at].values.insert(tensor.to_owned(), value.clone());
        Some(value)
    }

    /// A tensor that segment `at` is given: bytes where it holds the integers of a quantised tensor.
    fn given(&mut self, tensor: &str, at: usize, shape: Shape) -> Option<Value> {
        let planes = shape.form == Form::Image && shape.positions() > 1 && shape.channels > 1;
        let segment = &mut self.segments[at];
        let given = segment.given(tensor, &shape, if planes { Order::Planes } else { Order::Pixels });
        let value = Value { shape, kind: Kind::Reals(given) };
        match self.source.activations.get(tensor) {
            Some(quantisation) => {
                let bytes = segment.builder.round(tensor, &value, 1.0, quantisation.bounds())?;
                Some(Value { kind: Kind::Bytes(Scaled { factor: 1.0, ..bytes }), ..value })
            }
            None => Some(value),
        }
    }

    /// The image itself as pixels, where the file's input has its channels last and `tensor` is that input.
    fn image_last(&mut self, tensor: &str, at: usize) -> Option<Value> {
        let spec = self.source.spec;
        let dims = self.source.facts.get(tensor)?.full()?;
        let (Some(Layout::Nhwc), true, [1, rows, columns, channels]) = (spec.layout, tensor == spec.name, &dims[..])
        else {
            return None;
        };
        let shape = Shape { rows: *rows, columns: *columns, channels: *channels, form: Form::Image };
        let given = self.segments[at].given(tensor, &shape, Order::Pixels);
        Some(Value { shape, kind: Kind::Reals(given) })
    }

    /// Makes a tensor of a segment readable from outside.
    fn hand_out(&mut self, tensor: &str) {
        if let Home::Segment(at) = self.home(tensor) {
            self.segments[at].hand_out(tensor);
        }
    }

    fn finish(mut self) -> Lowered {
        for output in &self.source.graph.output {
            self.hand_out(&output.name);
        }
        let mut parts = vec![];
        let mut left = self.left;
        left.resize_with(left.len().max(self.segments.len() + 1), Vec::new);
        for segment in self.segments {
            parts.push(segment.finish());
        }
        Lowered { parts, left }
    }
}

/// Whether a number of an operator is that which is used where it is absent.
fn plain(from: &NodeProto, name: &str, value: f32) -> bool {
    node::attribute(from, name).is_none_or(|a| a.f.to_bits() == value.to_bits())
}
