//! Puts sections together into the bytes of a shelf file, as `shelfwatch_core::layout` reads them.
//! Two sections of one kind are refused when the result is parsed back.

use shelfwatch_core::SectionKind;
use shelfwatch_core::layout::{ALIGN, ENTRY, MAGIC, PREAMBLE, VERSION, checksum};

/// Sections on their way into a file.
#[derive(Clone, Debug, Default)]
pub struct Sections {
    sections: Vec<(SectionKind, Vec<u8>)>,
}

impl Sections {
    /// Adds a section.
    pub fn push(&mut self, kind: SectionKind, bytes: Vec<u8>) {
        self.sections.push((kind, bytes));
    }

    /// The bytes of the file: the same sections give the same bytes, whatever the order they were added in.
    pub fn assemble(mut self) -> Vec<u8> {
        self.sections.sort_by_key(|(kind, _)| *kind);
        let table_end = PREAMBLE + self.sections.len() * ENTRY;
        let mut table = Vec::with_capacity(table_end - PREAMBLE);
        let mut body = Vec::new();
        for (kind, bytes) in &self.sections {
            let offset = (table_end + body.len()).next_multiple_of(ALIGN);
            body.resize(offset - table_end, 0);
            table.extend_from_slice(&(*kind as u16).to_le_bytes());
            table.extend_from_slice(&[0; 2]);
            table.extend_from_slice(&checksum(bytes).to_le_bytes());
            table.extend_from_slice(&(offset as u64).to_le_bytes());
            table.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            body.extend_from_slice(bytes);
        }
        let mut file = Vec::with_capacity(table_end + body.len());
        file.extend_from_slice(&MAGIC);
        file.extend_from_slice(&VERSION.to_le_bytes());
        file.extend_from_slice(&(self.sections.len() as u16).to_le_bytes());
        file.extend_from_slice(&[0; 4]);
        file.extend_from_slice(&((table_end + body.len()) as u64).to_le_bytes());
        file.extend_from_slice(&checksum(&table).to_le_bytes());
        file.extend_from_slice(&checksum(&file).to_le_bytes());
        file.extend_from_slice(&table);
        file.extend_from_slice(&body);
        file
    }
}

/// A vector of f32 as a section.
pub fn vector_section(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}

/// The most pairs of score and rank that a file keeps.
const MAX_PAIRS: usize = 65_536;

/// Calibration scores as pairs of score and rank; `sorted` is ascending and not empty.
///
/// Beyond 65,536 different scores, the lowest half stays whole, where thresholds and small p-values lie, and the
/// rest is thinned evenly.
pub fn calibration_section(sorted: &[f32]) -> Vec<u8> {
    let mut pairs: Vec<(f32, u32)> = Vec::new();
    for (i, score) in sorted.iter().enumerate() {
        // −0 and 0 are one score.
        let score = score + 0.0;
        match pairs.last_mut() {
            Some((last, rank)) if *last >= score => *rank = i as u32 + 1,
            _ => pairs.push((score, i as u32 + 1)),
        }
    }
    if pairs.len() > MAX_PAIRS {
        let whole = MAX_PAIRS / 2;
        let rest = pairs.split_off(whole);
        let step = rest.len().div_ceil(MAX_PAIRS - whole);
        let last = rest.len() - 1;
        pairs.extend(rest.iter().enumerate().filter(|(i, _)| i % step == 0 || *i == last).map(|(_, pair)| *pair));
    }
    pairs.iter().flat_map(|(score, rank)| score.to_le_bytes().into_iter().chain(rank.to_le_bytes())).collect()
}

/// Golden images, each a file with its score.
pub fn golden_section<'a>(images: impl IntoIterator<Item = (&'a [u8], f32)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (file, score) in images {
        bytes.extend_from_slice(&(file.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&score.to_le_bytes());
        bytes.extend_from_slice(file);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use shelfwatch_core::{Calibration, Golden};

    use super::{calibration_section, golden_section};

    #[test]
    fn p_values_count_ties_and_stay_cautious_when_thinned() {
        let bytes = calibration_section(&[0.1, 0.2, 0.2, 0.2, 0.9]);
        let calibration = Calibration::parse(&bytes, 5).unwrap();
        for (score, expected) in [(0.05, 1.0), (0.1, 2.0), (0.15, 4.0), (0.2, 5.0), (0.9, 6.0), (1.0, 6.0)] {
            assert!((calibration.p_value(score) - expected / 6.0).abs() < 1e-6, "{score}");
        }
        let many: Vec<f32> = (0..200_000_u32).map(|i| i as f32).collect();
        let bytes = calibration_section(&many);
        assert!(bytes.len() <= 65_537 * 8);
        let calibration = Calibration::parse(&bytes, 200_000).unwrap();
        for i in [0_u32, 17, 30_000, 100_000, 150_001, 199_999] {
            let exact = (f64::from(i) + 2.0) / 200_001.0;
            let kept = f64::from(calibration.p_value(i as f32));
            assert!(kept >= exact - 1e-7 && kept - exact < 1e-4, "{i}: {kept} {exact}");
        }
    }

    #[test]
    fn golden_images_come_back() {
        let bytes = golden_section([(&b"abc"[..], 0.5), (&b""[..], -1.0), (&b"12345678"[..], 2.0)]);
        let golden = Golden::parse(&bytes).unwrap();
        let found: Vec<_> = golden.iter().map(|image| (image.file.to_vec(), image.score)).collect();
        assert_eq!(found, [(b"abc".to_vec(), 0.5), (Vec::new(), -1.0), (b"12345678".to_vec(), 2.0)]);
        assert!(Golden::parse(&bytes[..bytes.len() - 1]).is_none());
    }
}
