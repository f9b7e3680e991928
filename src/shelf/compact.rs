//! Stores the rows of a matrix as f32, f16 or int8. Refuses nothing: what precision suffices is the fit's to find out.

use std::fmt;
use std::str::FromStr;

use half::f16;
use shelfwatch_core::Encoding;

/// How many of a matrix' leading rows keep which precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// All rows in f32.
    F32,
    /// All rows in f16.
    F16,
    /// The first rows, which carry most of the variance, in f16 and the others in int8: the share in eighths.
    Mixed(u8),
    /// All rows in int8.
    I8,
}

impl Precision {
    /// From the smallest to the most exact: the order in which the fit tries them.
    pub const LADDER: [Self; 7] =
        [Self::I8, Self::Mixed(1), Self::Mixed(2), Self::Mixed(3), Self::Mixed(5), Self::F16, Self::F32];

    fn encoding(self, row: usize, rows: usize) -> Encoding {
        match self {
            Self::F32 => Encoding::F32,
            Self::F16 => Encoding::F16,
            Self::Mixed(eighths) if row < (rows * usize::from(eighths)).div_ceil(8) => Encoding::F16,
            Self::Mixed(_) | Self::I8 => Encoding::I8,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::F32 => f.write_str("f32"),
            Self::F16 => f.write_str("f16"),
            Self::Mixed(eighths) => write!(f, "f16 for {eighths}/8 of the rows, int8 for the others"),
            Self::I8 => f.write_str("int8"),
        }
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "f32" => Ok(Self::F32),
            "f16" => Ok(Self::F16),
            "i8" => Ok(Self::I8),
            _ => Err(format!("`{text}` is no precision; use auto, f32, f16 or i8")),
        }
    }
}

/// A matrix as a section: `values` holds `columns` values a row, row after row.
pub fn matrix_section(values: &[f64], columns: usize, precision: Precision) -> Vec<u8> {
    let rows: Vec<&[f64]> = values.chunks_exact(columns.max(1)).collect();
    let mut descriptions = Vec::new();
    let mut data = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        let largest = row.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        let encoding = match precision.encoding(i, rows.len()) {
            // Beyond the largest half a value would become infinite.
            Encoding::F16 if largest > f64::from(f16::MAX) => Encoding::F32,
            encoding => encoding,
        };
        let scale = if encoding == Encoding::I8 { (largest / 127.0) as f32 } else { 1.0 };
        descriptions.extend_from_slice(&[encoding as u8, 0, 0, 0]);
        descriptions.extend_from_slice(&scale.to_le_bytes());
        for value in *row {
            match encoding {
                Encoding::F32 => data.extend_from_slice(&(*value as f32).to_le_bytes()),
                Encoding::F16 => data.extend_from_slice(&f16::from_f64(*value).to_le_bytes()),
                Encoding::I8 => {
                    let step = if scale > 0.0 { (value / f64::from(scale)).round_ties_even() } else { 0.0 };
                    data.push((step.clamp(-127.0, 127.0) as i8).cast_unsigned());
                }
            }
        }
        data.resize(data.len().next_multiple_of(4), 0);
    }
    let mut section = Vec::with_capacity(8 + descriptions.len() + data.len());
    section.extend_from_slice(&(rows.len() as u32).to_le_bytes());
    section.extend_from_slice(&(columns as u32).to_le_bytes());
    section.extend_from_slice(&descriptions);
    section.extend_from_slice(&data);
    section
}

#[cfg(test)]
mod tests {
    use shelfwatch_core::Matrix;

    use super::{Precision, matrix_section};

    #[test]
    fn rows_come_back_within_their_precision() {
        let values: Vec<f64> = (0..6 * 13).map(|i| f64::from(i * 37 % 101) / 101.0 - 0.5).collect();
        for (precision, tolerance) in [(Precision::F32, 1e-7), (Precision::F16, 3e-4), (Precision::I8, 2e-3)] {
            let bytes = matrix_section(&values, 13, precision);
            let matrix = Matrix::parse(&bytes).unwrap();
            assert_eq!((matrix.rows(), matrix.columns()), (6, 13));
            let x: Vec<f32> = (0..13_u8).map(|i| f32::from(i) * 0.1).collect();
            for (row, expected) in matrix.iter().zip(values.chunks_exact(13)) {
                for (value, expected) in row.values().zip(expected) {
                    assert!((f64::from(value) - expected).abs() <= tolerance, "{precision}: {value} {expected}");
                }
                let dot: f32 = row.values().zip(&x).map(|(row, x)| row * x).sum();
                assert!((row.dot(&x) - dot).abs() < 1e-5);
                let squared: f32 = row.values().zip(&x).map(|(row, x)| (row - x) * (row - x)).sum();
                assert!((row.squared_distance(&x) - squared).abs() < 1e-4);
            }
            assert!(Matrix::parse(&bytes[..bytes.len() - 1]).is_none());
        }
    }

    #[test]
    fn a_row_of_zeros_stays_zero() {
        let bytes = matrix_section(&[0.0; 5], 5, Precision::I8);
        assert!(Matrix::parse(&bytes).unwrap().iter().all(|row| row.values().all(|value| value == 0.0)));
    }
}
