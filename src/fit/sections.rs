//! From fitted parameters in f64 to the sections that one score needs, each matrix in a precision of its own.

use shelfwatch_core::{Constants, MAX_NEIGHBOURS, ScoreKind, SectionKind};

use crate::method::{Gaussian, Parameters};
use crate::shelf::{Precision, Sections, matrix_section, vector_section};

/// Matrices that share a precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// The projections.
    Projection,
    /// ViM's principal space.
    Vim,
    /// Whitening maps and class means.
    Gaussian,
    /// The bank of neighbours.
    Bank,
}

impl Group {
    pub(super) const ALL: [Self; 4] = [Self::Projection, Self::Vim, Self::Gaussian, Self::Bank];

    /// Whether one of the scores reads a matrix of the group.
    pub(super) fn serves(self, kinds: &[ScoreKind]) -> bool {
        kinds.iter().any(|kind| match kind {
            ScoreKind::Neco | ScoreKind::NecoStd | ScoreKind::NecoMl | ScoreKind::NecoStdMl => self == Self::Projection,
            ScoreKind::Residual | ScoreKind::Vim => self == Self::Vim,
            ScoreKind::Mahalanobis | ScoreKind::MahalanobisPp => self == Self::Gaussian,
            ScoreKind::Knn => self == Self::Bank,
            _ => false,
        })
    }
}

/// A precision for every group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Precisions([Precision; 4]);

impl Precisions {
    pub(super) const fn all(precision: Precision) -> Self {
        Self([precision; 4])
    }

    pub(super) fn of(self, group: Group) -> Precision {
        self.0[group as usize]
    }

    pub(super) fn with(mut self, group: Group, precision: Precision) -> Self {
        self.0[group as usize] = precision;
        self
    }
}

/// What the sections hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout<'a> {
    pub(super) parameters: &'a Parameters,
    pub(super) kinds: &'a [ScoreKind],
}

impl Layout<'_> {
    /// Whether the shelf's projection, which heat maps use too, is the standardised one alone.
    pub(super) fn is_standardised(&self) -> bool {
        let standard = |kind: &ScoreKind| matches!(kind, ScoreKind::NecoStd | ScoreKind::NecoStdMl);
        !self.kinds.is_empty() && self.kinds.iter().all(standard)
    }

    /// d of the shelf's projection.
    pub(super) fn components(&self) -> usize {
        if self.is_standardised() { self.parameters.neco_std.dim() } else { self.parameters.neco.dim() }
    }

    /// The constants of the single scores.
    pub(super) fn constants(&self) -> Constants {
        let p = self.parameters;
        Constants {
            gen_gamma: p.gen_gamma as f32,
            gen_top: p.gen_top as u32,
            knn_k: p.bank.as_ref().map_or(1, |bank| bank.neighbour.min(MAX_NEIGHBOURS)) as u32,
            vim_alpha: p.vim.as_ref().and_then(|vim| vim.alpha).unwrap_or_default() as f32,
            nci_alpha: p.nci_alpha as f32,
        }
    }

    /// Adds what the scores read.
    pub(super) fn write(&self, precisions: Precisions, sections: &mut Sections) {
        let p = self.parameters;
        let has = |wanted: &[ScoreKind]| self.kinds.iter().any(|kind| wanted.contains(kind));
        let projection = precisions.of(Group::Projection);
        sections.push(SectionKind::Centre, vector(p.mean()));
        if !self.is_standardised() {
            sections.push(SectionKind::Basis, rows(p.neco.rows(), p.dim, projection));
        }
        if has(&[ScoreKind::NecoStd, ScoreKind::NecoStdMl]) {
            let inverse = p.neco_std.pca().scale.iter().map(|scale| (1.0 / scale) as f32);
            sections.push(SectionKind::InverseScale, vector_section(inverse));
            sections.push(SectionKind::StandardBasis, rows(p.neco_std.rows(), p.dim, projection));
        }
        if let Some(vim) = p.vim.as_ref().filter(|_| has(&[ScoreKind::Residual, ScoreKind::Vim])) {
            sections.push(SectionKind::VimOrigin, vector(&vim.origin));
            sections.push(SectionKind::VimBasis, rows(vim.rows(), p.dim, precisions.of(Group::Vim)));
        }
        let gaussian = precisions.of(Group::Gaussian);
        if let Some(fitted) = p.mahalanobis.as_ref().filter(|_| has(&[ScoreKind::Mahalanobis])) {
            whitening(sections, fitted, gaussian, SectionKind::Whitening, SectionKind::WhitenedMeans);
        }
        if let Some(fitted) = p.mahalanobis_pp.as_ref().filter(|_| has(&[ScoreKind::MahalanobisPp])) {
            sections.push(SectionKind::DirectionCentre, vector(&fitted.mean));
            whitening(sections, fitted, gaussian, SectionKind::WhiteningPp, SectionKind::WhitenedMeansPp);
        }
        if let Some(bank) = p.bank.as_ref().filter(|_| has(&[ScoreKind::Knn])) {
            let bank_rows = bank.rows.iter().map(Vec::as_slice);
            sections.push(SectionKind::Bank, rows(bank_rows, p.dim, precisions.of(Group::Bank)));
        }
        if let Some(head) = &p.head {
            if has(&[ScoreKind::Nci]) {
                let head_rows = head.rows.iter().map(Vec::as_slice);
                sections.push(SectionKind::Head, rows(head_rows, p.dim, Precision::F32));
            }
            if has(&[ScoreKind::Fdbd]) {
                let distance =
                    |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
                let norms: Vec<f64> =
                    head.rows.iter().flat_map(|a| head.rows.iter().map(move |b| distance(a, b))).collect();
                let section = matrix_section(&norms, head.rows.len(), Precision::F32);
                sections.push(SectionKind::BoundaryNorms, section);
            }
        }
    }
}

fn vector(values: &[f64]) -> Vec<u8> {
    vector_section(values.iter().map(|value| *value as f32))
}

fn rows<'a>(rows: impl Iterator<Item = &'a [f64]>, columns: usize, precision: Precision) -> Vec<u8> {
    let values: Vec<f64> = rows.flatten().copied().collect();
    matrix_section(&values, columns, precision)
}

fn whitening(sections: &mut Sections, fitted: &Gaussian, precision: Precision, map: SectionKind, means: SectionKind) {
    let dim = fitted.mean.len();
    // The map is lower triangular; the file keeps whole rows.
    let mut values = vec![0.0; dim * dim];
    for (i, row) in values.chunks_exact_mut(dim).enumerate() {
        let filled = fitted.row(i);
        row[..filled.len()].copy_from_slice(filled);
    }
    sections.push(map, matrix_section(&values, dim, precision));
    sections.push(means, rows(fitted.class_means.iter().map(Vec::as_slice), dim, precision));
}
