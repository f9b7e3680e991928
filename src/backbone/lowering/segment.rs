//! One program while nodes are added to it, with the tensors of the graph that it reads and makes.

use std::collections::HashMap;

use shelfwatch_network::Order;

use super::Part;
use super::builder::Builder;
use super::value::{Shape, Value};

/// A program in the making.
#[derive(Default)]
pub(super) struct Segment {
    pub(super) builder: Builder,
    /// Tensors of the graph as they are here.
    pub(super) values: HashMap<String, Value>,
    given: Vec<(String, Order, u32)>,
    handed_out: Vec<(String, Vec<usize>)>,
}

impl Segment {
    /// The number of a tensor that the program is given.
    pub(super) fn given(&mut self, name: &str, shape: &Shape, order: Order) -> u32 {
        if let Some((.., at)) = self.given.iter().find(|(n, o, _)| n == name && *o == order) {
            return *at;
        }
        let at = self.builder.given(shape, order);
        self.given.push((name.to_owned(), order, at));
        at
    }

    /// Makes a tensor of the graph an output, once.
    pub(super) fn hand_out(&mut self, name: &str) -> Option<()> {
        if self.handed_out.iter().any(|(n, _)| n == name) {
            return Some(());
        }
        let value = self.values.get(name)?.clone();
        self.builder.output(name, &value)?;
        self.handed_out.push((name.to_owned(), value.shape.dims()));
        Some(())
    }

    pub(super) fn finish(self) -> Part {
        let (program, kept) = self.builder.finish();
        let inputs = kept.into_iter().map(|at| self.given[at].0.clone()).collect();
        Part { program, inputs, outputs: self.handed_out }
    }
}
