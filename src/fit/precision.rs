//! How few bits the projection needs: the smallest encoding that moves no calibration score by more than the limit.

use shelfwatch_core::{Shelf, Term};

use crate::fit::draft::Draft;
use crate::fit::error::FitError;
use crate::fit::sections::{Group, Precisions};
use crate::fit::spool::Spool;
use crate::method::{MethodError, Parameters};
use crate::shelf::Precision;

/// The most that a calibration score may move, in the score's own unit, or in a thousandth of its standard deviation
/// on calibration images where that is more than one.
pub const TOLERANCE: f64 = 1e-3;

/// The largest difference between the device's score and the exact one over the calibration images, relative to
/// `max(1, standard deviation)`.
pub(super) fn movement(
    draft: &Draft<'_>,
    precisions: Precisions,
    spool: &mut Spool,
    deviation: f64,
) -> Result<f64, FitError> {
    let bytes = draft.provisional(precisions)?;
    let shelf = Shelf::parse(&bytes)?;
    let mut scratch = vec![0.0; shelf.scratch_len()];
    let mut largest = 0.0_f64;
    spool.each(|_, feature, logits| {
        let device = shelf.score(feature, logits, &mut scratch)?;
        let exact = exact(draft.layout.parameters, &draft.terms, feature, logits)?;
        largest = largest.max((f64::from(device) - exact).abs());
        Ok::<(), FitError>(())
    })?;
    Ok(largest / deviation.max(1.0))
}

/// The score in f64, on f64 parameters.
pub(super) fn exact(
    parameters: &Parameters,
    terms: &[Term],
    feature: &[f32],
    logits: &[f32],
) -> Result<f64, MethodError> {
    let scores = parameters.scores(feature, logits)?;
    Ok(terms
        .iter()
        .map(|term| {
            let score = scores.get(term.kind).unwrap_or(f64::NAN);
            f64::from(term.weight) * (score - f64::from(term.offset))
        })
        .sum())
}

/// The smallest precision of every group that keeps within [`TOLERANCE`], with the movement of all together.
///
/// Each group in turn may add its share of the tolerance, and what the ones before it left over; the projection, which
/// every shelf has, comes last.
pub(super) fn choose(draft: &Draft<'_>, spool: &mut Spool, deviation: f64) -> Result<(Precisions, f64), FitError> {
    let mut chosen = Precisions::all(Precision::F32);
    let groups: Vec<Group> = Group::ALL.into_iter().rev().filter(|group| group.serves(draft.layout.kinds)).collect();
    // A projection that only draws heat maps costs no score; half precision is exact enough to draw with.
    if !groups.contains(&Group::Projection) {
        chosen = chosen.with(Group::Projection, Precision::F16);
    }
    for (i, group) in groups.iter().enumerate() {
        let limit = TOLERANCE * (i + 1) as f64 / groups.len() as f64;
        for precision in Precision::LADDER {
            let tried = chosen.with(*group, precision);
            if precision == Precision::F32 || movement(draft, tried, spool, deviation)? <= limit {
                chosen = tried;
                break;
            }
        }
    }
    let movement = movement(draft, chosen, spool, deviation)?;
    Ok((chosen, movement))
}
