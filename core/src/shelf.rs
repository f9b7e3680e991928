//! A shelf that lies in memory: parsed once, borrowed from then on. Refuses whatever contradicts the header.

use crate::layout::{SectionKind, Sections};
use crate::{Calibration, Error, Golden, Header, Matrix, ScoreKind, Vector};

/// The fitted layout of good features, borrowed from the bytes of a file.
///
/// ```
/// use shelfwatch_core::{Error, Shelf};
/// assert_eq!(Shelf::parse(b"not a shelf").unwrap_err(), Error::NotAShelf);
/// ```
#[derive(Clone, Debug)]
pub struct Shelf<'a> {
    pub(crate) header: Header<'a>,
    pub(crate) centre: Vector<'a>,
    pub(crate) basis: Option<Matrix<'a>>,
    pub(crate) inverse_scale: Option<Vector<'a>>,
    pub(crate) standard_basis: Option<Matrix<'a>>,
    pub(crate) vim: Option<(Vector<'a>, Matrix<'a>)>,
    pub(crate) mahalanobis: Option<(Matrix<'a>, Matrix<'a>)>,
    pub(crate) direction_centre: Option<Vector<'a>>,
    pub(crate) mahalanobis_pp: Option<(Matrix<'a>, Matrix<'a>)>,
    pub(crate) bank: Option<Matrix<'a>>,
    pub(crate) head: Option<Matrix<'a>>,
    pub(crate) boundary_norms: Option<Matrix<'a>>,
    calibration: Calibration<'a>,
    golden: Golden<'a>,
    needs: &'a str,
    sections: Sections<'a>,
}

/// What a part is judged to be by its score alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Judgement {
    /// Below the reject point: signalled by itself.
    Reject,
    /// Below the review point: a person looks.
    Review,
    /// Familiar.
    Pass,
}

impl Judgement {
    /// The word in reports and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::Review => "review",
            Self::Pass => "pass",
        }
    }
}

impl<'a> Shelf<'a> {
    /// Checks the whole file once: lengths, checksums, and that every section fits the header.
    ///
    /// # Errors
    /// [`Error`] naming the section and what to do.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let sections = Sections::parse(bytes)?;
        for kind in SectionKind::ALL {
            sections.find(kind)?;
        }
        let header_bytes = sections.need(SectionKind::Header)?;
        let malformed = Error::Malformed(SectionKind::Header);
        let (header, rest) = postcard::take_from_bytes::<Header<'a>>(header_bytes).map_err(|_| malformed)?;
        if !rest.is_empty() || !header.is_sound() {
            return Err(malformed);
        }
        let read = Reader { sections, d: header.dims.feature as usize, c: header.dims.classes as usize };
        let images = header.evidence.calibration_images;
        let calibration = Calibration::parse(sections.need(SectionKind::Calibration)?, images)
            .ok_or(Error::Malformed(SectionKind::Calibration))?;
        let golden = Golden::parse(sections.find(SectionKind::Golden)?.unwrap_or_default())
            .ok_or(Error::Malformed(SectionKind::Golden))?;
        let shelf = Self {
            centre: read.need_vector(SectionKind::Centre)?,
            basis: read.matrix(SectionKind::Basis)?,
            inverse_scale: read.vector(SectionKind::InverseScale)?,
            standard_basis: read.matrix(SectionKind::StandardBasis)?,
            vim: match read.vector(SectionKind::VimOrigin)? {
                Some(origin) => Some((origin, read.need_matrix(SectionKind::VimBasis)?)),
                None => None,
            },
            mahalanobis: read.whitening(SectionKind::Whitening, SectionKind::WhitenedMeans)?,
            direction_centre: read.vector(SectionKind::DirectionCentre)?,
            mahalanobis_pp: read.whitening(SectionKind::WhiteningPp, SectionKind::WhitenedMeansPp)?,
            bank: read.matrix(SectionKind::Bank)?,
            head: read.rows(SectionKind::Head, read.c)?,
            boundary_norms: read.square(SectionKind::BoundaryNorms, read.c)?,
            calibration,
            golden,
            needs: needs(sections.find(SectionKind::Needs)?.unwrap_or_default())
                .ok_or(Error::Malformed(SectionKind::Needs))?,
            sections,
            header,
        };
        shelf.check_terms()?;
        shelf.check_facts()?;
        Ok(shelf)
    }

    /// Every score in the sum finds its sections.
    fn check_terms(&self) -> Result<(), Error> {
        let there = |is_there: bool, kind| if is_there { Ok(()) } else { Err(Error::Section(kind)) };
        for term in &self.header.terms {
            match term.kind {
                ScoreKind::Msp | ScoreKind::MaxLogit | ScoreKind::Energy => {}
                ScoreKind::Gen => {
                    let top = self.header.constants.gen_top as usize;
                    if !(1..=MAX_TOP).contains(&top) {
                        return Err(Error::Malformed(SectionKind::Header));
                    }
                }
                ScoreKind::Neco | ScoreKind::NecoMl => there(self.basis.is_some(), SectionKind::Basis)?,
                ScoreKind::NecoStd | ScoreKind::NecoStdMl => {
                    there(self.standard_basis.is_some(), SectionKind::StandardBasis)?;
                }
                ScoreKind::Residual | ScoreKind::Vim => there(self.vim.is_some(), SectionKind::VimOrigin)?,
                ScoreKind::Mahalanobis => there(self.mahalanobis.is_some(), SectionKind::Whitening)?,
                ScoreKind::MahalanobisPp => {
                    there(self.mahalanobis_pp.is_some(), SectionKind::WhiteningPp)?;
                    there(self.direction_centre.is_some(), SectionKind::DirectionCentre)?;
                }
                ScoreKind::Knn => {
                    let k = self.header.constants.knn_k as usize;
                    let rows = self.bank.map_or(0, |bank| bank.rows());
                    there((1..=MAX_NEIGHBOURS).contains(&k) && rows >= k, SectionKind::Bank)?;
                }
                ScoreKind::Nci => there(self.head.is_some(), SectionKind::Head)?,
                ScoreKind::Fdbd => there(self.boundary_norms.is_some(), SectionKind::BoundaryNorms)?,
            }
        }
        there(self.standard_basis.is_none() || self.inverse_scale.is_some(), SectionKind::InverseScale)?;
        there(self.basis.is_some() || self.standard_basis.is_some(), SectionKind::Basis)
    }

    /// What the header says of the projection and the backbone is so.
    fn check_facts(&self) -> Result<(), Error> {
        let components = self.header.dims.components as usize;
        let (projection, kind) = match self.basis {
            Some(basis) => (Some(basis), SectionKind::Basis),
            None => (self.standard_basis, SectionKind::StandardBasis),
        };
        if projection.is_none_or(|projection| projection.rows() != components) {
            return Err(Error::Malformed(kind));
        }
        match self.backbone() {
            Some(onnx) if onnx.len() as u64 != self.header.backbone.length => {
                Err(Error::Malformed(SectionKind::Backbone))
            }
            _ => Ok(()),
        }
    }

    /// What the shelf says of itself.
    pub fn header(&self) -> &Header<'a> {
        &self.header
    }

    /// The calibration scores.
    pub fn calibration(&self) -> Calibration<'a> {
        self.calibration
    }

    /// The golden images.
    pub fn golden(&self) -> Golden<'a> {
        self.golden
    }

    /// What the device's processor must have: an architecture, or a feature as Linux names it.
    pub fn needs(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.needs.lines()
    }

    /// The ONNX file, `None` in a detached shelf.
    pub fn backbone(&self) -> Option<&'a [u8]> {
        self.sections.find(SectionKind::Backbone).ok().flatten()
    }

    /// The network made ready, where it needs no ONNX file; the library says what is in it.
    pub fn program(&self) -> Option<&'a [u8]> {
        self.sections.find(SectionKind::Program).ok().flatten()
    }

    /// Every section with its bytes, in the order of the file.
    pub fn sections(&self) -> impl Iterator<Item = (SectionKind, &'a [u8])> + use<'a> {
        self.sections.iter()
    }

    /// Judges a score. `NaN` rejects: an unknown is never a pass.
    pub fn judge(&self, score: f32) -> Judgement {
        if score >= self.header.review.threshold {
            Judgement::Pass
        } else if score >= self.header.reject.threshold {
            Judgement::Review
        } else {
            Judgement::Reject
        }
    }

    /// `(1 + #{s_i ≤ s}) / (n + 1)` over the calibration scores.
    pub fn p_value(&self, score: f32) -> f32 {
        self.calibration.p_value(score)
    }
}

/// Names of a word each, a name a line.
fn needs(bytes: &[u8]) -> Option<&str> {
    let text = core::str::from_utf8(bytes).ok()?;
    let is_name = |line: &str| {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'.';
        !line.is_empty() && line.bytes().all(fits)
    };
    text.lines().all(is_name).then_some(text)
}

/// The largest k of KNN: its neighbours stand on the stack.
pub const MAX_NEIGHBOURS: usize = 64;

/// The most probabilities that GEN adds: they are sorted on the stack.
pub(crate) const MAX_TOP: usize = 128;

/// Reads sections whose size the header gives.
struct Reader<'a> {
    sections: Sections<'a>,
    d: usize,
    c: usize,
}

impl<'a> Reader<'a> {
    fn vector(&self, kind: SectionKind) -> Result<Option<Vector<'a>>, Error> {
        let bytes = self.sections.find(kind)?;
        bytes.map(|bytes| Vector::parse(bytes, self.d).ok_or(Error::Malformed(kind))).transpose()
    }

    fn need_vector(&self, kind: SectionKind) -> Result<Vector<'a>, Error> {
        self.vector(kind)?.ok_or(Error::Section(kind))
    }

    fn any(&self, kind: SectionKind, fits: impl Fn(&Matrix<'a>) -> bool) -> Result<Option<Matrix<'a>>, Error> {
        let Some(bytes) = self.sections.find(kind)? else { return Ok(None) };
        Matrix::parse(bytes).filter(fits).map(Some).ok_or(Error::Malformed(kind))
    }

    fn matrix(&self, kind: SectionKind) -> Result<Option<Matrix<'a>>, Error> {
        self.any(kind, |matrix| matrix.rows() > 0 && matrix.columns() == self.d)
    }

    fn need_matrix(&self, kind: SectionKind) -> Result<Matrix<'a>, Error> {
        self.matrix(kind)?.ok_or(Error::Section(kind))
    }

    fn rows(&self, kind: SectionKind, rows: usize) -> Result<Option<Matrix<'a>>, Error> {
        self.any(kind, |matrix| rows > 0 && matrix.rows() == rows && matrix.columns() == self.d)
    }

    fn square(&self, kind: SectionKind, side: usize) -> Result<Option<Matrix<'a>>, Error> {
        self.any(kind, |matrix| side > 0 && matrix.rows() == side && matrix.columns() == side)
    }

    fn whitening(&self, map: SectionKind, means: SectionKind) -> Result<Option<(Matrix<'a>, Matrix<'a>)>, Error> {
        let Some(matrix) = self.rows(map, self.d)? else { return Ok(None) };
        Ok(Some((matrix, self.need_matrix(means)?)))
    }
}
