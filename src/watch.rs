//! How long work tells what it does: a stage with its count, and notes. Where that is shown is the caller's business.

/// Hears of the progress of long work. It may be called from one thread only.
pub trait Watch {
    /// `done` of `total` items of a stage are through.
    fn progress(&self, stage: &str, done: u64, total: u64);
    /// Something that the user should know.
    fn note(&self, text: &str);
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Watch for Silent {
    fn progress(&self, _: &str, _: u64, _: u64) {}
    fn note(&self, _: &str) {}
}
