//! What is wrong with a configuration: every problem found, each with its line and the remedy.

use std::fmt::Write;
use std::io;
use std::path::PathBuf;

use serde::Serialize;
use thiserror::Error;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Error)]
#[error("{what}; {remedy}")]
pub struct Problem {
    /// Line in the file, from 1, where there is one.
    pub line: Option<usize>,
    /// What is wrong, with key and line.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("configuration {} cannot be read ({source}); check the path and its rights", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is no configuration.
    #[error("{}", listed(path.as_ref(), problems))]
    Invalid {
        /// The file, where the text came from one.
        path: Option<PathBuf>,
        /// All that is wrong, by line; never empty.
        problems: Vec<Problem>,
    },
}

impl ConfigError {
    /// All that is wrong; empty where the file could not be read.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Read { .. } => &[],
            Self::Invalid { problems, .. } => problems,
        }
    }
}

fn listed(path: Option<&PathBuf>, problems: &[Problem]) -> String {
    let name = path.map_or_else(String::new, |path| format!(" {}", path.display()));
    match problems {
        [one] => format!("configuration{name}: {one}"),
        several => {
            let mut text = format!("configuration{name} has {} errors", several.len());
            for problem in several {
                let _ = write!(text, "\n  {problem}");
            }
            text
        }
    }
}
