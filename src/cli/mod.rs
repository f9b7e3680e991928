//! The command line: one file a verb. Data go to stdout, all else to stderr; the exit code says what was found.

mod adoption;
mod completions;
mod doctor;
mod graph;
mod inputs;
mod inspect;
mod install;
mod io_test;
mod judged;
#[cfg(feature = "office")]
mod office;
mod progress;
mod replay;
mod run;
mod score;
mod stick;
mod table;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tells whether a product image lies inside the feature space that your own classifier learned.
///
/// Fit a shelf from a trained ONNX classifier and folders of good images, evaluate it on images of your own, then let
/// it judge every part. Exit status: 0 fine, 1 an anomaly was found, 2 an error.
#[derive(Debug, Parser)]
#[command(
    name = "shelfwatch",
    version,
    max_term_width = 110,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[cfg_attr(
    not(feature = "office"),
    command(
        after_help = "This is the program for devices: shelves are fitted, evaluated and signed by that for a PC."
    )
)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

/// What each does is told where its arguments are.
#[derive(Debug, Subcommand)]
enum Verb {
    #[cfg(feature = "office")]
    #[command(flatten)]
    Office(office::Verb),
    Score(score::Score),
    Inspect(inspect::Inspect),
    Verify(verify::Verify),
    Run(run::Run),
    Install(install::Install),
    Rollback(install::Rollback),
    Stick(stick::Stick),
    Doctor(doctor::Doctor),
    IoTest(io_test::IoTest),
    Replay(replay::Replay),
    Completions(completions::Completions),
}

/// What a verb found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Nothing unusual.
    Fine,
    /// An anomaly.
    Anomaly,
    /// Some of the work could not be done; the rest was, and what failed was named.
    Failed,
}

/// Runs the verb that the arguments name.
pub(crate) fn run() -> ExitCode {
    let result = match Arguments::parse().verb {
        #[cfg(feature = "office")]
        Verb::Office(verb) => verb.run(),
        Verb::Score(verb) => verb.run(),
        Verb::Inspect(verb) => verb.run(),
        Verb::Verify(verb) => verb.run(),
        Verb::Run(verb) => verb.run(),
        Verb::Install(verb) => verb.run(),
        Verb::Rollback(verb) => verb.run(),
        Verb::Stick(verb) => verb.run(),
        Verb::Doctor(verb) => verb.run(),
        Verb::IoTest(verb) => verb.run(),
        Verb::Replay(verb) => verb.run(),
        Verb::Completions(verb) => verb.run(),
    };
    match result {
        Ok(Outcome::Fine) => ExitCode::SUCCESS,
        Ok(Outcome::Anomaly) => ExitCode::from(1),
        Ok(Outcome::Failed) => ExitCode::from(2),
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", words(&error));
            ExitCode::from(2)
        }
    }
}

/// The error and what caused it; a cause that its error already quotes is not told twice.
fn words(error: &anyhow::Error) -> String {
    let mut words = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !words.contains(&cause) {
            words += if words.is_empty() { "" } else { ": " };
            words += &cause;
        }
    }
    words
}

/// Whether the reader of our output went away, as `head` does.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    kind == Some(std::io::ErrorKind::BrokenPipe)
}
