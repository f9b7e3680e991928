//! Runs image classifiers of 8-bit integers: a [`Program`] is a network as a list of steps, and a [`Machine`]
//! computes it for one image at a time, with the widest instructions of the processor at hand.
//!
//! Integer results are the same to the bit on every processor: the plain kernels ([`Cpu::Portable`]) are the
//! specification, and tests hold all others to it.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::float_cmp,
        reason = "a test fails by panicking, and may ask for a value exactly"
    )
)]

mod arena;
mod check;
mod columns;
mod curve;
mod depthwise;
mod error;
mod fusion;
mod gather;
mod kernel;
mod lanes;
mod lines;
mod machine;
mod packing;
mod plain_step;
mod pool;
mod prepared;
mod product;
mod program;
mod schedule;
mod sliding;
mod window;
mod winograd;

pub use curve::Curve;
pub use error::NetworkError;
pub use kernel::Cpu;
pub use machine::{Input, Machine, Results, StepFacts};
pub use prepared::Prepared;
pub use program::{Bounds, Element, Op, Order, Pool, Product, Program, Step, Tensor, Weights};
pub use window::Window;
