//! Tables as CSV.

use std::collections::HashMap;
use std::path::Path;

/// The rows of a CSV file, each by column name.
pub(crate) fn table(path: &Path) -> Vec<HashMap<String, String>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    reader.deserialize().map(|row| row.unwrap()).collect()
}
