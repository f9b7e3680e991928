//! What a thread that switches outputs shares with the station: its state, the call to look at it, its errors.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::error::ErrorSlot;

/// A state of type `S` that both sides change.
#[derive(Debug)]
pub(super) struct Shared<S> {
    state: Mutex<S>,
    /// Something has changed.
    pub(super) changed: Condvar,
    /// For the station to take.
    pub(super) errors: ErrorSlot,
}

impl<S> Shared<S> {
    pub(super) fn new(state: S) -> Self {
        Self { state: Mutex::new(state), changed: Condvar::new(), errors: ErrorSlot::default() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, S> {
        // Every change leaves the state whole, so that a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
