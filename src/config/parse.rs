//! From TOML text to a checked [`Config`], or to the list of all that is wrong with it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::digest::{hexadecimal, sha256};
use serde_json::Value;
use toml::de::DeTable;

use super::check::check;
use super::error::{ConfigError, Problem};
use super::key_path::{Findings, KeyPath, Step, line_of, printable};
use super::paths::resolve;
use super::shape::Shape;
use super::station::Config;

/// A file longer than this is none of ours.
const MOST_BYTES: u64 = 1 << 20;

/// Syntax errors shown at once: after the first few the parser has lost its way.
const MOST_SYNTAX: usize = 5;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| schemars::schema_for!(Config).to_value());

/// The JSON schema of the file, by which editors complete and check it.
pub fn schema() -> &'static Value {
    &SCHEMA
}

impl Config {
    /// Reads and checks a file; relative paths in it start at its folder.
    ///
    /// # Errors
    /// [`ConfigError::Read`], or [`ConfigError::Invalid`] with all that is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let (text, folder) = read(path).map_err(|source| ConfigError::Read { path: path.to_path_buf(), source })?;
        parse(&text, Some(&folder))
            .map_err(|problems| ConfigError::Invalid { path: Some(path.to_path_buf()), problems })
    }

    /// Checks a text; relative paths in it stay as they are.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with all that is wrong.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        parse(text, None).map_err(|problems| ConfigError::Invalid { path: None, problems })
    }
}

fn read(path: &Path) -> io::Result<(String, PathBuf)> {
    let mut text = String::new();
    File::open(path)?.take(MOST_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 1 MiB"));
    }
    let folder = std::path::absolute(path)?.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    Ok((text, folder))
}

fn parse(text: &str, folder: Option<&Path>) -> Result<Config, Vec<Problem>> {
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(errors.iter().take(MOST_SYNTAX).map(|error| syntax(text, error)).collect());
    }
    let mut table: toml::Table = toml::from_str(text).map_err(|error| vec![syntax(text, &error)])?;
    let mut findings = Findings::new(text, root.into_inner());
    let unknown = Shape::new(schema()).check(&table, &mut findings);
    for path in &unknown {
        remove(&mut table, path);
    }
    match table.try_into::<Config>() {
        Ok(mut config) => {
            if let Some(folder) = folder {
                resolve(&mut config, folder);
            }
            check(&config, &mut findings);
            if findings.is_empty() {
                config.sha256 = hexadecimal(&sha256(text.as_ref()));
                return Ok(config);
            }
        }
        // The schema says all that serde does, with its line; this is for what it does not.
        Err(error) if findings.is_empty() => {
            findings.add(&KeyPath::default(), &printable(error.message()), "correct it");
        }
        Err(_) => {}
    }
    Err(findings.into_problems())
}

fn syntax(text: &str, error: &toml::de::Error) -> Problem {
    let line = error.span().map(|span| line_of(text, span.start));
    let at = line.map_or_else(String::new, |line| format!(" at line {line}"));
    Problem { line, what: format!("not TOML{at}: {}", printable(error.message())), remedy: "correct it".to_owned() }
}

fn remove(table: &mut toml::Table, path: &KeyPath) {
    let Some((Step::Key(last), before)) = path.0.split_last() else { return };
    let mut here = Some(table);
    let mut list: Option<&mut Vec<toml::Value>> = None;
    for step in before {
        let next = match step {
            Step::Key(key) => here.take().and_then(|table| table.get_mut(key)),
            Step::Index(index) => list.take().and_then(|list| list.get_mut(*index)),
        };
        match next {
            Some(toml::Value::Table(table)) => here = Some(table),
            Some(toml::Value::Array(array)) => list = Some(array),
            _ => return,
        }
    }
    if let Some(table) = here {
        table.remove(last);
    }
}
