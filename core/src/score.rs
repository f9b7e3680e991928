//! From a feature and its logits to one number. Refuses vectors of the wrong length and whatever is not finite.

use libm::{expf, fabsf, logf, powf, sqrtf};

use crate::matrix::sum_of;
use crate::shelf::{MAX_NEIGHBOURS, MAX_TOP};
use crate::{Error, Matrix, ScoreKind, Shelf, Vector};

impl Shelf<'_> {
    /// Values of scratch space that [`Shelf::score`] and [`Shelf::heat_map`] need.
    pub fn scratch_len(&self) -> usize {
        2 * self.header.dims.feature as usize
    }

    /// The score of an image: low means unfamiliar. Alarm iff it lies strictly below a threshold.
    ///
    /// `feature` has D values, `logits` C (empty where the backbone has none), `scratch`
    /// [`scratch_len`](Self::scratch_len) values of any content.
    ///
    /// # Errors
    /// [`Error::Dimension`] for a vector of the wrong length, [`Error::NotFinite`] for NaN, infinity, or a feature whose
    /// squared norm is beyond f32.
    pub fn score(&self, feature: &[f32], logits: &[f32], scratch: &mut [f32]) -> Result<f32, Error> {
        self.check(feature, logits, scratch)?;
        let mut sum = 0.0;
        for term in &self.header.terms {
            sum += term.weight * (self.term(term.kind, feature, logits, scratch)? - term.offset);
        }
        finite("score", sum)
    }

    /// One single score, by the same code that [`Shelf::score`] uses.
    ///
    /// # Errors
    /// As [`Shelf::score`]; [`Error::Section`] where the shelf does not hold what the score needs.
    pub fn single(&self, kind: ScoreKind, feature: &[f32], logits: &[f32], scratch: &mut [f32]) -> Result<f32, Error> {
        self.check(feature, logits, scratch)?;
        finite("score", self.term(kind, feature, logits, scratch)?)
    }

    fn check(&self, feature: &[f32], logits: &[f32], scratch: &[f32]) -> Result<(), Error> {
        let dims = self.header.dims;
        let lengths =
            [("feature", feature.len(), dims.feature as usize), ("logits", logits.len(), dims.classes as usize)];
        for (name, found, expected) in lengths {
            if found != expected {
                return Err(Error::Dimension { name, expected, found });
            }
        }
        if scratch.len() < self.scratch_len() {
            let (expected, found) = (self.scratch_len(), scratch.len());
            return Err(Error::Dimension { name: "scratch", expected, found });
        }
        check_finite(feature)?;
        if !logits.iter().all(|value| value.is_finite()) {
            return Err(Error::NotFinite("logits"));
        }
        Ok(())
    }

    fn term(&self, kind: ScoreKind, h: &[f32], logits: &[f32], scratch: &mut [f32]) -> Result<f32, Error> {
        use crate::SectionKind as S;
        let x = &mut scratch[..h.len()];
        Ok(match kind {
            ScoreKind::Msp => {
                let top = largest(logits);
                1.0 / sum_of(logits, |l| expf(l - top))
            }
            ScoreKind::MaxLogit => largest(logits),
            ScoreKind::Energy => log_sum_exp(logits),
            ScoreKind::Gen => {
                let constants = &self.header.constants;
                generalized_entropy(logits, constants.gen_gamma, constants.gen_top as usize)
            }
            ScoreKind::Neco | ScoreKind::NecoMl => {
                let basis = self.basis.ok_or(Error::Section(S::Basis))?;
                subtract(h, &self.centre, x);
                ratio(&basis, x) * if kind == ScoreKind::NecoMl { largest(logits) } else { 1.0 }
            }
            ScoreKind::NecoStd | ScoreKind::NecoStdMl => {
                let basis = self.standard_basis.ok_or(Error::Section(S::StandardBasis))?;
                subtract(h, &self.centre, x);
                scale(x, &self.inverse_scale.ok_or(Error::Section(S::InverseScale))?);
                ratio(&basis, x) * if kind == ScoreKind::NecoStdMl { largest(logits) } else { 1.0 }
            }
            ScoreKind::Residual => -self.vim_residual(h, x)?,
            ScoreKind::Vim => log_sum_exp(logits) - self.header.constants.vim_alpha * self.vim_residual(h, x)?,
            ScoreKind::Mahalanobis => {
                let (whitening, means) = self.mahalanobis.ok_or(Error::Section(S::Whitening))?;
                let (x, whitened) = halves(scratch, h.len());
                subtract(h, &self.centre, x);
                whiten(&whitening, x, whitened);
                -nearest(&means, whitened)
            }
            ScoreKind::MahalanobisPp => {
                let (whitening, means) = self.mahalanobis_pp.ok_or(Error::Section(S::WhiteningPp))?;
                let centre = self.direction_centre.ok_or(Error::Section(S::DirectionCentre))?;
                let (x, whitened) = halves(scratch, h.len());
                normalise(h, x);
                for (x, centre) in x.iter_mut().zip(centre.values()) {
                    *x -= centre;
                }
                whiten(&whitening, x, whitened);
                -nearest(&means, whitened)
            }
            ScoreKind::Knn => {
                let bank = self.bank.ok_or(Error::Section(S::Bank))?;
                normalise(h, x);
                -neighbour_distance(&bank, x, self.header.constants.knn_k as usize)
            }
            ScoreKind::Nci => {
                let head = self.head.ok_or(Error::Section(S::Head))?;
                subtract(h, &self.centre, x);
                let toward = head.iter().nth(predicted(logits)).map_or(0.0, |row| row.dot(x));
                over(toward, norm(x)) + self.header.constants.nci_alpha * sum_of(h, fabsf)
            }
            ScoreKind::Fdbd => {
                let norms = self.boundary_norms.ok_or(Error::Section(S::BoundaryNorms))?;
                subtract(h, &self.centre, x);
                over(boundary_distance(&norms, logits), norm(x))
            }
        })
    }

    fn vim_residual(&self, h: &[f32], x: &mut [f32]) -> Result<f32, Error> {
        let (origin, basis) = self.vim.ok_or(Error::Section(crate::SectionKind::VimOrigin))?;
        subtract(h, &origin, x);
        let squared = squared_norm(x) - squared_projection(&basis, x);
        // `f32::max` would turn NaN into 0, the most familiar value.
        Ok(if squared < 0.0 { 0.0 } else { sqrtf(squared) })
    }
}

/// Finite values whose squares can be added: beyond that a norm would be infinite and a direction 0.
pub(crate) fn check_finite(feature: &[f32]) -> Result<(), Error> {
    if squared_norm(feature).is_finite() { Ok(()) } else { Err(Error::NotFinite("feature")) }
}

fn finite(name: &'static str, value: f32) -> Result<f32, Error> {
    if value.is_finite() { Ok(value) } else { Err(Error::NotFinite(name)) }
}

pub(crate) fn subtract(h: &[f32], centre: &Vector<'_>, x: &mut [f32]) {
    for ((x, h), centre) in x.iter_mut().zip(h).zip(centre.values()) {
        *x = h - centre;
    }
}

pub(crate) fn scale(x: &mut [f32], factors: &Vector<'_>) {
    for (x, factor) in x.iter_mut().zip(factors.values()) {
        *x *= factor;
    }
}

pub(crate) fn squared_norm(x: &[f32]) -> f32 {
    sum_of(x, |x| x * x)
}

pub(crate) fn squared_projection(basis: &Matrix<'_>, x: &[f32]) -> f32 {
    basis.iter().map(|row| row.dot(x)).map(|c| c * c).sum()
}

fn norm(x: &[f32]) -> f32 {
    sqrtf(squared_norm(x))
}

/// A feature at the very centre has no direction: 0, the least familiar value.
fn over(numerator: f32, denominator: f32) -> f32 {
    if denominator > 0.0 { numerator / denominator } else { 0.0 }
}

fn ratio(basis: &Matrix<'_>, z: &[f32]) -> f32 {
    sqrtf(over(squared_projection(basis, z), squared_norm(z)))
}

fn normalise(h: &[f32], unit: &mut [f32]) {
    let length = norm(h);
    for (unit, h) in unit.iter_mut().zip(h) {
        *unit = over(*h, length);
    }
}

/// Two vectors of `len` values in the scratch space.
pub(crate) fn halves(scratch: &mut [f32], len: usize) -> (&mut [f32], &mut [f32]) {
    let (first, second) = scratch.split_at_mut(len);
    (first, &mut second[..len])
}

fn whiten(whitening: &Matrix<'_>, h: &[f32], out: &mut [f32]) {
    for (out, row) in out.iter_mut().zip(whitening.iter()) {
        *out = row.dot(h);
    }
}

fn nearest(means: &Matrix<'_>, x: &[f32]) -> f32 {
    means.iter().map(|row| row.squared_distance(x)).fold(f32::INFINITY, f32::min)
}

/// Distance to the k-th nearest row: the k smallest squared distances are kept in order on the stack.
fn neighbour_distance(bank: &Matrix<'_>, x: &[f32], k: usize) -> f32 {
    let mut smallest = [f32::INFINITY; MAX_NEIGHBOURS];
    let k = k.clamp(1, MAX_NEIGHBOURS);
    for row in bank.iter() {
        insert_sorted(&mut smallest[..k], row.squared_distance(x), |new, old| new < old);
    }
    sqrtf(smallest[k - 1])
}

fn insert_sorted(kept: &mut [f32], value: f32, before: impl Fn(f32, f32) -> bool) {
    let Some(at) = kept.iter().position(|old| before(value, *old)) else { return };
    kept[at..].rotate_right(1);
    kept[at] = value;
}

fn largest(logits: &[f32]) -> f32 {
    logits.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

/// Index of the largest logit, the first where several are equal; 0 for none.
pub fn predicted(logits: &[f32]) -> usize {
    let mut best = 0;
    for (i, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = i;
        }
    }
    best
}

fn log_sum_exp(logits: &[f32]) -> f32 {
    let top = largest(logits);
    top + logf(sum_of(logits, |l| expf(l - top)))
}

fn generalized_entropy(logits: &[f32], gamma: f32, top: usize) -> f32 {
    let log_sum = log_sum_exp(logits);
    let mut kept = [f32::NEG_INFINITY; MAX_TOP];
    let kept = &mut kept[..top.clamp(1, MAX_TOP).min(logits.len().max(1))];
    for logit in logits {
        insert_sorted(kept, *logit, |new, old| new > old);
    }
    // ln p and ln(1−p) rather than p itself: 1−p of the winner would lose its digits.
    -kept
        .iter()
        .enumerate()
        .map(|(i, logit)| {
            let ln_p = logit - log_sum;
            let rest = if i == 0 { rest_of_winner(logits, *logit, log_sum) } else { 1.0 - expf(ln_p) };
            powf(expf(ln_p), gamma) * powf(rest.max(0.0), gamma)
        })
        .sum::<f32>()
}

/// 1 − p of the largest logit, as the sum of the others' probabilities.
fn rest_of_winner(logits: &[f32], winner: f32, log_sum: f32) -> f32 {
    let all = sum_of(logits, |l| if l < winner { expf(l - log_sum) } else { 0.0 });
    let ties = logits.iter().filter(|l| **l >= winner).count();
    all + (ties.saturating_sub(1)) as f32 * expf(winner - log_sum)
}

/// Mean over the other classes of `|l_ŷ − l_c| / ‖w_ŷ − w_c‖`; identical rows have no boundary and add nothing.
fn boundary_distance(norms: &Matrix<'_>, logits: &[f32]) -> f32 {
    let winner = predicted(logits);
    let Some(row) = norms.iter().nth(winner) else { return 0.0 };
    let mut sum = 0.0;
    for (c, (logit, norm)) in logits.iter().zip(row.values()).enumerate() {
        if c != winner {
            sum += over(fabsf(logits[winner] - logit), norm);
        }
    }
    over(sum, logits.len().saturating_sub(1) as f32)
}
