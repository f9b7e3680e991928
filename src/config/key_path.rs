//! Where in a TOML file a value stands: the steps to it, and the line for them.

use std::fmt::{self, Display, Formatter};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Problem;

/// One step down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// The steps from the top of the file to a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyPath(pub(super) Vec<Step>);

impl KeyPath {
    pub(super) fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    pub(super) fn keys(&self, keys: &[&str]) -> Self {
        keys.iter().fold(self.clone(), |path, key| path.key(key))
    }

    pub(super) fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// The keys joined by points, as in a table's head.
    pub(super) fn dotted(&self) -> String {
        let keys = self.0.iter().filter_map(|step| match step {
            Step::Key(key) => Some(printable(key)),
            Step::Index(_) => None,
        });
        keys.collect::<Vec<_>>().join(".")
    }
}

/// `k` in [station.decide], or [station], or the file.
impl Display for KeyPath {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self.0.split_last() {
            None => write!(formatter, "the file"),
            Some((Step::Index(_), _)) => write!(formatter, "[{}]", self.dotted()),
            Some((Step::Key(key), before)) => {
                write!(formatter, "`{}`", printable(key))?;
                let table = Self(before.to_vec()).dotted();
                if table.is_empty() { Ok(()) } else { write!(formatter, " in [{table}]") }
            }
        }
    }
}

/// Foreign text in a message: one line of at most 60 characters.
pub(super) fn printable(text: &str) -> String {
    let mut short: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(60).collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}

/// The problems found in a text so far.
pub(super) struct Findings<'i> {
    text: &'i str,
    root: DeTable<'i>,
    problems: Vec<Problem>,
}

impl<'i> Findings<'i> {
    pub(super) fn new(text: &'i str, root: DeTable<'i>) -> Self {
        Self { text, root, problems: Vec::new() }
    }

    /// The value at that place is not as it must be.
    pub(super) fn add(&mut self, path: &KeyPath, predicate: &str, remedy: impl Into<String>) {
        self.subject(path, &path.to_string(), predicate, remedy);
    }

    /// There is a key too many.
    pub(super) fn unknown(&mut self, path: &KeyPath, remedy: impl Into<String>) {
        self.subject(path, &format!("unknown key {path}"), "", remedy);
    }

    fn subject(&mut self, path: &KeyPath, subject: &str, predicate: &str, remedy: impl Into<String>) {
        let line = self.line(path);
        let at = line.map_or_else(String::new, |line| format!(" at line {line}"));
        let gap = if predicate.is_empty() { "" } else { " " };
        self.problems.push(Problem { line, what: format!("{subject}{at}{gap}{predicate}"), remedy: remedy.into() });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// All that was found, in the order of the file.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems;
        problems.sort_by_key(|problem| problem.line.unwrap_or(0));
        problems.dedup();
        problems
    }

    /// The line of the value or, where it is not written, of the nearest table around it.
    fn line(&self, path: &KeyPath) -> Option<usize> {
        let mut offset = None;
        let mut here: Option<&Spanned<DeValue<'_>>> = None;
        for (depth, step) in path.0.iter().enumerate() {
            let next = match (step, here.map(Spanned::get_ref)) {
                (Step::Key(key), None) if depth == 0 => self.root.get_key_value(key.as_str()),
                (Step::Key(key), Some(DeValue::Table(table))) => table.get_key_value(key.as_str()),
                (Step::Index(index), Some(DeValue::Array(array))) => {
                    let Some(element) = array.get(*index) else { break };
                    (offset, here) = (Some(element.span().start), Some(element));
                    continue;
                }
                _ => None,
            };
            let Some((key, value)) = next else { break };
            (offset, here) = (Some(key.span().start), Some(value));
        }
        offset.map(|offset| line_of(self.text, offset))
    }
}

/// The line, from 1, on which that byte stands.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|&&byte| byte == b'\n').count() + 1
}
