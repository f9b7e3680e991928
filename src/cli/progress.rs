//! Progress on stderr: a bar on a terminal, a line now and then elsewhere.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use shelfwatch::watch::Watch;

/// Seconds between two lines where there is no terminal.
const PAUSE: Duration = Duration::from_secs(10);

/// Shows how far long work is.
pub(super) struct Progress {
    terminal: bool,
    quiet: bool,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    stage: String,
    bar: Option<ProgressBar>,
    last: Option<Instant>,
}

impl Progress {
    /// Progress on stderr, or only notes where `quiet`.
    pub(super) fn new(quiet: bool) -> Self {
        Self { terminal: std::io::stderr().is_terminal(), quiet, state: RefCell::default() }
    }

    /// Takes the bar off the screen.
    pub(super) fn clear(&self) {
        if let Some(bar) = self.state.borrow_mut().bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Watch for Progress {
    fn progress(&self, stage: &str, done: u64, total: u64) {
        if self.quiet {
            return;
        }
        let mut state = self.state.borrow_mut();
        if state.stage != stage {
            stage.clone_into(&mut state.stage);
            state.last = None;
            if let Some(bar) = state.bar.take() {
                bar.finish_and_clear();
            }
        }
        if self.terminal {
            let bar = state.bar.get_or_insert_with(|| bar(stage, total));
            bar.set_position(done);
            if done == total {
                bar.finish_and_clear();
                state.bar = None;
            }
        } else if done == total || state.last.is_some_and(|last| last.elapsed() >= PAUSE) {
            eprintln!("{stage}: {done} of {total}");
            state.last = Some(Instant::now());
        } else if state.last.is_none() {
            state.last = Some(Instant::now());
        }
    }

    fn note(&self, text: &str) {
        match &self.state.borrow().bar {
            Some(bar) => bar.suspend(|| eprintln!("note: {text}")),
            None => eprintln!("note: {text}"),
        }
    }
}

fn bar(stage: &str, total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:>10} [{bar:36}] {pos}/{len} {per_sec}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style.progress_chars("=> ")).with_prefix(stage.to_owned())
}
