//! The verbs of a PC: fitting, evaluating, signing, the demo. A program for devices is built without them.

mod demo;
mod eval;
mod evaluation;
mod fit;
mod fitting;
mod keygen;
mod line;
mod manual;
mod merge;
mod quantize;
mod sign;
mod statistics;

use anyhow::Result;
use clap::Subcommand;

use super::Outcome;

pub(super) use statistics::statistics;

/// What each does is told where its arguments are.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    Demo(demo::Demo),
    Fit(Box<fit::Fit>),
    Merge(merge::Merge),
    Quantize(Box<quantize::Quantize>),
    Eval(eval::Eval),
    Keygen(keygen::Keygen),
    Sign(sign::Sign),
    Manual(manual::Manual),
}

impl Verb {
    pub(super) fn run(self) -> Result<Outcome> {
        match self {
            Self::Demo(verb) => verb.run(),
            Self::Fit(verb) => verb.run(),
            Self::Merge(verb) => verb.run(),
            Self::Quantize(verb) => verb.run(),
            Self::Eval(verb) => verb.run(),
            Self::Keygen(verb) => verb.run(),
            Self::Sign(verb) => verb.run(),
            Self::Manual(verb) => verb.run(),
        }
    }
}
