//! Which score: by evidence from good images and strangers, real or made. NECO stays unless another is better by more
//! than chance. Refuses nothing; says in words what it saw.

use serde::Serialize;
use shelfwatch_core::ScoreKind;

use crate::method::{Scores, auroc};

/// A score, or the sum of several, each in units of its standard deviation on calibration images.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// The scores in the sum.
    #[serde(serialize_with = "names")]
    pub kinds: Vec<ScoreKind>,
    /// AUROC, mean over the groups of strangers.
    pub auroc: f64,
    /// AUROC against each group of strangers, in their order.
    pub groups: Vec<f64>,
}

/// What the choice rests on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// The scores in the sum.
    #[serde(serialize_with = "names")]
    pub kinds: Vec<ScoreKind>,
    /// Why, in a sentence.
    pub why: String,
    /// Names of the groups of strangers.
    pub groups: Vec<String>,
    /// Every candidate, the best first.
    pub candidates: Vec<Candidate>,
}

fn names<S: serde::Serializer>(kinds: &[ScoreKind], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&join(kinds))
}

/// The name of a sum: `neco+knn`.
pub fn join(kinds: &[ScoreKind]) -> String {
    kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join("+")
}

/// Mean and standard deviation of every score on calibration images.
#[derive(Clone, Debug, Default)]
pub(super) struct Norms {
    count: f64,
    /// Mean and sum of squared deviations.
    running: [(f64, f64); ScoreKind::ALL.len()],
}

impl Norms {
    pub(super) fn add(&mut self, scores: &Scores) {
        self.count += 1.0;
        for kind in ScoreKind::ALL {
            let Some(score) = scores.get(kind) else { continue };
            let (mean, squares) = &mut self.running[kind as usize];
            let gap = score - *mean;
            *mean += gap / self.count;
            *squares += gap * (score - *mean);
        }
    }

    /// Mean and standard deviation; a score that never varies gets 1.
    pub(super) fn of(&self, kind: ScoreKind) -> (f64, f64) {
        let (mean, squares) = self.running[kind as usize];
        let deviation = (squares / self.count.max(1.0)).sqrt();
        (mean, if deviation > 1e-12 * mean.abs().max(1e-300) { deviation } else { 1.0 })
    }

    fn sum(&self, kinds: &[ScoreKind], scores: &Scores) -> Option<f64> {
        let [kind] = kinds else {
            return kinds
                .iter()
                .map(|kind| {
                    let (mean, deviation) = self.of(*kind);
                    Some((scores.get(*kind)? - mean) / deviation)
                })
                .sum();
        };
        scores.get(*kind)
    }
}

/// Sums worth trying: each adds a score of another nature.
const SUMS: [&[ScoreKind]; 6] = [
    &[ScoreKind::Neco, ScoreKind::Knn],
    &[ScoreKind::Neco, ScoreKind::Vim],
    &[ScoreKind::Neco, ScoreKind::Residual],
    &[ScoreKind::NecoStd, ScoreKind::Knn],
    &[ScoreKind::Neco, ScoreKind::Knn, ScoreKind::Vim],
    &[ScoreKind::Neco, ScoreKind::Knn, ScoreKind::MahalanobisPp],
];

/// Times that images are drawn anew to see what chance alone does.
const RESAMPLES: usize = 200;

/// Chooses by mean AUROC over the groups of strangers.
///
/// NECO stays unless the best candidate is ahead in 95 of 100 resamplings of the images.
pub(super) fn choose(
    good: &[Scores],
    strangers: &[(String, Vec<Scores>)],
    norms: &Norms,
    allowed: &dyn Fn(ScoreKind) -> bool,
    origin: &str,
) -> Choice {
    let offered = |kind: ScoreKind| allowed(kind) && good.first().is_some_and(|scores| scores.get(kind).is_some());
    let singles = ScoreKind::ALL.into_iter().map(|kind| vec![kind]);
    let all = singles.chain(SUMS.iter().map(|kinds| kinds.to_vec()));
    let mut tables: Vec<(Candidate, Table)> = all
        .filter(|kinds| kinds.iter().all(|kind| offered(*kind)))
        .map(|kinds| {
            let table = Table::new(&kinds, good, strangers, norms);
            let groups: Vec<f64> = table.strangers.iter().map(|group| auroc(&table.good, group)).collect();
            let auroc = mean(&groups);
            (Candidate { kinds, auroc, groups }, table)
        })
        .collect();
    // Fewer terms first where the figure is the same.
    tables.sort_by(|a, b| b.0.auroc.total_cmp(&a.0.auroc).then(a.0.kinds.len().cmp(&b.0.kinds.len())));
    let neco = tables.iter().find(|(candidate, _)| candidate.kinds == [ScoreKind::Neco]);
    let (kinds, why) = match (tables.first(), neco) {
        (Some((best, table)), Some((own, own_table))) if best.kinds != own.kinds => {
            let (ahead, gain) = (ahead(table, own_table), best.auroc - own.auroc);
            let name = join(&best.kinds);
            if ahead >= 0.95 {
                let why = format!(
                    "{name}: mean AUROC {:.3} against {origin}, {gain:.3} above neco, ahead in {:.0} % of resamplings",
                    best.auroc,
                    100.0 * ahead
                );
                (best.kinds.clone(), why)
            } else {
                let why = format!(
                    "neco: mean AUROC {:.3} against {origin}; {name} is {gain:.3} higher, which chance explains",
                    own.auroc
                );
                (own.kinds.clone(), why)
            }
        }
        (Some((best, _)), _) => (
            best.kinds.clone(),
            format!("{}: mean AUROC {:.3} against {origin}, the best", join(&best.kinds), best.auroc),
        ),
        (None, _) => (vec![ScoreKind::Neco], "neco: there is nothing to compare it on".to_owned()),
    };
    Choice {
        kinds,
        why,
        groups: strangers.iter().map(|(name, _)| name.clone()).collect(),
        candidates: tables.into_iter().map(|(candidate, _)| candidate).collect(),
    }
}

/// One candidate's scores.
struct Table {
    good: Vec<f64>,
    strangers: Vec<Vec<f64>>,
}

impl Table {
    fn new(kinds: &[ScoreKind], good: &[Scores], strangers: &[(String, Vec<Scores>)], norms: &Norms) -> Self {
        let of = |scores: &[Scores]| scores.iter().filter_map(|scores| norms.sum(kinds, scores)).collect();
        Self { good: of(good), strangers: strangers.iter().map(|(_, scores)| of(scores)).collect() }
    }

    /// Mean AUROC over the groups on images drawn with replacement; the same `seed` draws the same images.
    fn resampled(&self, seed: u64) -> f64 {
        let mut state = seed;
        let mut draw = |from: &[f64]| -> Vec<f64> {
            (0..from.len()).map(|_| from[(next(&mut state) % from.len() as u64) as usize]).collect()
        };
        let good = draw(&self.good);
        mean(&self.strangers.iter().map(|group| auroc(&good, &draw(group))).collect::<Vec<_>>())
    }
}

fn ahead(best: &Table, own: &Table) -> f64 {
    let wins = (0..RESAMPLES as u64).filter(|seed| best.resampled(*seed) > own.resampled(*seed)).count();
    wins as f64 / RESAMPLES as f64
}

/// SplitMix64 (Steele et al. 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
