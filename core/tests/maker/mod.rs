//! Makes shelf files byte by byte, from `docs/shelf-format.md` alone: it shares no code with the program's own writer.
#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses its part")]

use shelfwatch_core::layout::Sections;
use shelfwatch_core::{
    BackboneFacts, Constants, Dims, Evidence, Guarantee, Header, OperatingPoint, ScoreKind, SectionKind, Term,
};

pub(crate) const FEATURE: usize = 3;
pub(crate) const CLASSES: usize = 2;
pub(crate) const ONNX: &[u8] = b"not really ONNX";

/// A file of sections in any order, any number of them, with any numbers.
#[derive(Clone, Debug)]
pub(crate) struct Maker {
    pub(crate) sections: Vec<(u16, Vec<u8>)>,
}

impl Maker {
    pub(crate) fn new(header: &Header<'_>) -> Self {
        Self { sections: vec![(SectionKind::Header as u16, header_section(header))] }
    }

    /// The sections of a sound file, for whoever wants to change one.
    pub(crate) fn of(file: &[u8]) -> Self {
        let sections = Sections::parse(file).unwrap();
        Self { sections: sections.numbered().map(|(number, bytes)| (number, bytes.to_vec())).collect() }
    }

    pub(crate) fn get_mut(&mut self, kind: SectionKind) -> &mut Vec<u8> {
        &mut self.sections.iter_mut().find(|(number, _)| *number == kind as u16).unwrap().1
    }

    pub(crate) fn with(mut self, kind: SectionKind, bytes: Vec<u8>) -> Self {
        self.sections.push((kind as u16, bytes));
        self
    }

    pub(crate) fn without(mut self, kind: SectionKind) -> Self {
        self.sections.retain(|(number, _)| *number != kind as u16);
        self
    }

    pub(crate) fn replaced(self, kind: SectionKind, bytes: Vec<u8>) -> Self {
        self.without(kind).with(kind, bytes)
    }

    pub(crate) fn get(&self, kind: SectionKind) -> &[u8] {
        &self.sections.iter().find(|(number, _)| *number == kind as u16).unwrap().1
    }

    pub(crate) fn file(&self) -> Vec<u8> {
        let mut file = vec![0; 32 + 24 * self.sections.len()];
        for (i, (number, bytes)) in self.sections.iter().enumerate() {
            file.resize(file.len().next_multiple_of(16), 0);
            let entry = 32 + 24 * i;
            put(&mut file, entry, &number.to_le_bytes());
            let offset = file.len() as u64;
            put(&mut file, entry + 8, &offset.to_le_bytes());
            put(&mut file, entry + 16, &(bytes.len() as u64).to_le_bytes());
            file.extend_from_slice(bytes);
        }
        let (count, length) = (self.sections.len() as u16, file.len() as u64);
        put(&mut file, 0, b"\x89SHELF\r\n\x01\0");
        put(&mut file, 10, &count.to_le_bytes());
        put(&mut file, 16, &length.to_le_bytes());
        seal(&mut file);
        file
    }
}

pub(crate) fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

fn number(file: &[u8], at: usize, bytes: usize) -> Option<usize> {
    let mut value = [0; 8];
    value[..bytes].copy_from_slice(file.get(at..at + bytes)?);
    usize::try_from(u64::from_le_bytes(value)).ok()
}

/// Makes every checksum right for the bytes at hand, whatever they say, so that a reader looks behind the checksums.
pub(crate) fn seal(file: &mut [u8]) {
    let count = number(file, 10, 2).unwrap_or(0);
    for entry in (0..count).map(|i| 32 + 24 * i) {
        let (Some(offset), Some(length)) = (number(file, entry + 8, 8), number(file, entry + 16, 8)) else { break };
        let Some(bytes) = offset.checked_add(length).and_then(|end| file.get(offset..end)) else { continue };
        let checksum = crc32fast::hash(bytes);
        put(file, entry + 4, &checksum.to_le_bytes());
    }
    if let Some(table) = file.get(32..32 + 24 * count) {
        let checksum = crc32fast::hash(table);
        put(file, 24, &checksum.to_le_bytes());
    }
    if file.len() >= 32 {
        let checksum = crc32fast::hash(&file[..28]);
        put(file, 28, &checksum.to_le_bytes());
    }
}

pub(crate) fn header_section(header: &Header<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    let used = postcard::to_slice(header, &mut bytes).unwrap().len();
    bytes.truncate(used);
    bytes
}

pub(crate) fn vector(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Rows of f32.
pub(crate) fn matrix(rows: &[&[f32]]) -> Vec<u8> {
    let columns = rows.first().map_or(0, |row| row.len());
    let mut bytes = [rows.len() as u32, columns as u32].map(u32::to_le_bytes).concat();
    for _ in rows {
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&1_f32.to_le_bytes());
    }
    bytes.extend(rows.iter().flat_map(|row| vector(row)));
    bytes
}

/// Rows of signed bytes times `scale`.
pub(crate) fn byte_matrix(rows: &[&[i8]], scale: f32) -> Vec<u8> {
    let columns = rows.first().map_or(0, |row| row.len());
    let mut bytes = [rows.len() as u32, columns as u32].map(u32::to_le_bytes).concat();
    for _ in rows {
        bytes.extend_from_slice(&[2, 0, 0, 0]);
        bytes.extend_from_slice(&scale.to_le_bytes());
    }
    for row in rows {
        bytes.extend(row.iter().map(|value| value.cast_unsigned()));
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

/// Pairs of score and rank.
pub(crate) fn calibration(pairs: &[(f32, u32)]) -> Vec<u8> {
    pairs.iter().flat_map(|(score, rank)| [score.to_le_bytes(), rank.to_le_bytes()].concat()).collect()
}

pub(crate) fn golden(images: &[(&[u8], f32)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (file, score) in images {
        bytes.extend_from_slice(&(file.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&score.to_le_bytes());
        bytes.extend_from_slice(file);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

pub(crate) fn term(kind: ScoreKind) -> Term {
    Term { kind, offset: 0.0, weight: 1.0 }
}

pub(crate) fn point(threshold: f32, alpha: f64, k: u64) -> OperatingPoint {
    OperatingPoint { threshold, alpha, delta: 0.05, k, bound: 0.75 }
}

/// A header of a shelf with D = 3, C = 2, d = 1 and four calibration images.
pub(crate) fn header(kinds: &[ScoreKind]) -> Header<'static> {
    Header {
        product: "washer",
        written_by: "by hand",
        backbone: BackboneFacts {
            sha256: [7; 32],
            length: ONNX.len() as u64,
            feature: "gap",
            logits: Some("logits"),
            map: Some("relu"),
        },
        recipe: "size = 32\n",
        dims: Dims { feature: 3, classes: 2, components: 1, map: Some([2, 2]) },
        terms: kinds.iter().map(|kind| term(*kind)).collect(),
        constants: Constants { gen_gamma: 0.5, gen_top: 2, knn_k: 2, vim_alpha: 0.25, nci_alpha: 0.125 },
        reject: point(0.25, 0.125, 1),
        review: point(0.5, 0.25, 2),
        heat_scale: 2.0,
        evidence: Evidence {
            fit_images: 9,
            calibration_images: 4,
            bad_images: 0,
            explained_variance: 0.9,
            guarantee: Guarantee::Guaranteed,
            split: "every second image",
            choice: "asked for",
            statistics_sha256: [9; 32],
        },
        class_names: "small\nlarge",
    }
}

/// The sections that each score reads beyond the ones that every shelf has, with numbers easy to reckon with.
pub(crate) fn sections_of(kind: ScoreKind) -> Vec<(SectionKind, Vec<u8>)> {
    use SectionKind as S;
    match kind {
        ScoreKind::NecoStd | ScoreKind::NecoStdMl => {
            vec![(S::InverseScale, vector(&[2.0, 0.5, 1.0])), (S::StandardBasis, byte_matrix(&[&[0, 2, 0]], 0.5))]
        }
        ScoreKind::Residual | ScoreKind::Vim => {
            vec![(S::VimOrigin, vector(&[0.0, 0.0, 1.0])), (S::VimBasis, matrix(&[&[0.0, 0.0, 1.0]]))]
        }
        ScoreKind::Mahalanobis => vec![
            (S::Whitening, matrix(&[&[1.0, 0.0, 0.0], &[0.0, 2.0, 0.0], &[0.0, 0.0, 0.5]])),
            (S::WhitenedMeans, byte_matrix(&[&[1, 0, 0], &[0, 2, 0]], 1.0)),
        ],
        ScoreKind::MahalanobisPp => vec![
            (S::DirectionCentre, vector(&[0.5, 0.5, 0.5])),
            (S::WhiteningPp, byte_matrix(&[&[4, 0, 0], &[0, 8, 0], &[0, 4, 4]], 0.5)),
            (S::WhitenedMeansPp, matrix(&[&[0.0, 0.0, 0.0], &[1.0, 1.0, 1.0]])),
        ],
        ScoreKind::Knn => vec![(S::Bank, byte_matrix(&[&[127, 0, 0], &[0, 127, 0], &[0, 0, 127]], 1.0 / 127.0))],
        ScoreKind::Nci => vec![(S::Head, matrix(&[&[1.0, 0.0, -1.0], &[0.0, 1.0, 0.0]]))],
        ScoreKind::Fdbd => vec![(S::BoundaryNorms, matrix(&[&[0.0, 2.0], &[2.0, 0.0]]))],
        _ => Vec::new(),
    }
}

/// A shelf whose score is the sum of these.
pub(crate) fn shelf_of(kinds: &[ScoreKind]) -> Maker {
    let mut maker = Maker::new(&header(kinds))
        .with(SectionKind::Centre, vector(&[1.0, 2.0, 3.0]))
        .with(SectionKind::Basis, matrix(&[&[1.0, 0.0, 0.0]]))
        .with(SectionKind::Calibration, calibration(&[(0.25, 1), (0.5, 3), (0.75, 4)]))
        .with(SectionKind::Backbone, ONNX.to_vec())
        .with(SectionKind::Golden, golden(&[(b"one", 0.5), (b"", 0.75)]));
    for kind in kinds {
        maker.sections.extend(sections_of(*kind).into_iter().map(|(kind, bytes)| (kind as u16, bytes)));
    }
    maker.sections.sort_by_key(|(number, _)| *number);
    maker
}

/// The shelves that the tests damage: each score that reads sections of its own, and sums.
pub(crate) fn various() -> Vec<(String, Maker)> {
    use ScoreKind as K;
    let sums: [&[ScoreKind]; 12] = [
        &[K::Neco],
        &[K::NecoStd],
        &[K::NecoMl, K::NecoStdMl],
        &[K::Residual],
        &[K::Vim],
        &[K::Mahalanobis],
        &[K::MahalanobisPp],
        &[K::Knn],
        &[K::Nci],
        &[K::Fdbd],
        &[K::Neco, K::Knn, K::Vim],
        &[K::Gen, K::MahalanobisPp, K::Energy],
    ];
    sums.iter()
        .map(|kinds| (kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join("+"), shelf_of(kinds)))
        .collect()
}

/// A shelf with every section there is, so that every score can be asked for.
pub(crate) fn complete() -> Maker {
    use ScoreKind as K;
    let mut maker = shelf_of(&[K::Neco]);
    for kind in [K::NecoStd, K::Vim, K::Mahalanobis, K::MahalanobisPp, K::Knn, K::Nci, K::Fdbd] {
        maker.sections.extend(sections_of(kind).into_iter().map(|(kind, bytes)| (kind as u16, bytes)));
    }
    maker.sections.push((SectionKind::Signature as u16, Vec::new()));
    maker.sections.sort_by_key(|(number, _)| *number);
    maker
}
