//! Event ids that no other start of any program gives again.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// Gives ids: eight hexadecimal digits drawn at the start of the program, and a number that grows by one.
///
/// ```
/// let ids = shelfwatch::device::Ids::new();
/// assert_ne!(ids.next(), ids.next());
/// ```
#[derive(Debug)]
pub struct Ids {
    start: u32,
    next: AtomicU64,
}

impl Ids {
    /// Draws the first half from the system's random numbers.
    pub fn new() -> Self {
        let drawn = RandomState::new().build_hasher().finish();
        Self { start: (drawn >> 32) as u32 ^ drawn as u32, next: AtomicU64::new(1) }
    }

    /// The next id.
    pub fn next(&self) -> String {
        format!("{:08x}-{}", self.start, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

impl Default for Ids {
    fn default() -> Self {
        Self::new()
    }
}
