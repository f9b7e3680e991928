//! What a check found, as a line for people and as JSON.

use std::fmt::Write;
use std::path::PathBuf;

use serde::Serialize;

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// All is well.
    Ok,
    /// It works, but look at it.
    Warning,
    /// The station cannot work so.
    Failed,
    /// Not checked, or there is nothing to check.
    Skipped,
}

/// Marks before the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marks {
    /// ✓ ! ✗ –
    Signs,
    /// Words of ASCII letters.
    Words,
}

impl State {
    const fn mark(self, marks: Marks) -> &'static str {
        match (marks, self) {
            (Marks::Signs, Self::Ok) => "✓",
            (Marks::Signs, Self::Warning) => "!",
            (Marks::Signs, Self::Failed) => "✗",
            (Marks::Signs, Self::Skipped) => "–",
            (Marks::Words, Self::Ok) => "ok  ",
            (Marks::Words, Self::Warning) => "warn",
            (Marks::Words, Self::Failed) => "FAIL",
            (Marks::Words, Self::Skipped) => "skip",
        }
    }
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was checked, such as `camera cam1`.
    pub check: String,
    /// How it went.
    pub state: State,
    /// What was found.
    pub text: String,
    /// What to do; `None` where there is nothing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: impl Into<String>, text: String) -> Self {
        Self { check: check.into(), state: State::Ok, text, remedy: None }
    }

    pub(super) fn skipped(check: impl Into<String>, text: String) -> Self {
        Self { check: check.into(), state: State::Skipped, text, remedy: None }
    }

    pub(super) fn unplugged(check: String) -> Self {
        Self::skipped(check, "this program was built without a probe for it".to_owned())
    }

    pub(super) fn warning(check: impl Into<String>, words: &str) -> Self {
        Self::with_remedy(check.into(), State::Warning, words)
    }

    pub(super) fn failed(check: impl Into<String>, words: &str) -> Self {
        Self::with_remedy(check.into(), State::Failed, words)
    }

    /// Takes the remedy from the words after the first semicolon.
    fn with_remedy(check: String, state: State, words: &str) -> Self {
        match words.split_once("; ") {
            Some((text, remedy)) => Self { check, state, text: text.to_owned(), remedy: Some(remedy.to_owned()) },
            None => Self { check, state, text: words.to_owned(), remedy: None },
        }
    }
}

/// All findings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The configuration file.
    pub config: PathBuf,
    /// In the order of the checks.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether something failed.
    pub fn has_failed(&self) -> bool {
        self.count(State::Failed) > 0
    }

    fn count(&self, state: State) -> usize {
        self.findings.iter().filter(|finding| finding.state == state).count()
    }

    /// A line for each finding, one below it for its remedy, and a sum at the end.
    pub fn text(&self, marks: Marks) -> String {
        let width = self.findings.iter().map(|finding| finding.check.chars().count()).max().unwrap_or(0);
        let (arrow, blank) = match marks {
            Marks::Signs => ("→", " "),
            Marks::Words => ("->", "    "),
        };
        let mut text = String::new();
        for Finding { check, state, text: found, remedy } in &self.findings {
            let found = match marks {
                Marks::Signs => found.clone(),
                Marks::Words => found.replace('×', "x").replace("°C", "C"),
            };
            let _ = writeln!(text, "{} {check:<width$}  {found}", state.mark(marks));
            if let Some(remedy) = remedy {
                let _ = writeln!(text, "{blank} {:<width$}  {arrow} {remedy}", "");
            }
        }
        let (failed, warnings) = (self.count(State::Failed), self.count(State::Warning));
        let _ = writeln!(text, "{failed} failed, {warnings} to look at, {} fine", self.count(State::Ok));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Finding, Marks, Report};

    #[test]
    fn lines_for_people() {
        let findings = vec![
            Finding::ok("config", "one station".to_owned()),
            Finding::failed("camera a", "it is gone; plug it in; then try again"),
        ];
        let report = Report { config: "s.toml".into(), findings };
        assert_eq!(
            report.text(Marks::Signs),
            "✓ config    one station\n✗ camera a  it is gone\n            → plug it in; then try again\n\
             1 failed, 0 to look at, 1 fine\n"
        );
        assert!(report.text(Marks::Words).is_ascii());
        assert!(report.has_failed());
    }
}
