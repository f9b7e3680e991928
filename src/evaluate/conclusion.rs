//! The plain sentence at the end, and the rule behind it.
//! Says "fit" only when the measured bounds support it; too few images is an answer of its own.

use shelfwatch_core::ScoreKind;

use crate::evaluate::evaluation::{Conclusion, Evaluation, Fitness, Rate, SetFigures};
use crate::evaluate::rate::rate;
use crate::evaluate::scored::OperatingPoint;
use crate::evaluate::wording::{counted, percent, plural, shown};
use crate::method::least_images;

/// With good images that bound the share flagged no better than this, nothing is said about false alarms.
const LOOSEST_BOUND: f64 = 0.05;
/// With a larger share of unreadable images in a set, the set says nothing.
const MOST_FAULTS: f64 = 0.05;

/// Applies the rule:
///
/// *Not fit*, when a lower bound (confidence 1−δ) contradicts the promise or the limit:
/// 1. more good images rejected, or flagged at all, than α of that operating point;
/// 2. more strangers passed, of one set or of all, than the limit on escapes.
///
/// Otherwise *not shown*, when an upper bound or a count does not support it:
/// 1. no good images, no strangers, or more than 5 % of a set's images unreadable;
/// 2. the upper bound of good images flagged exceeds α of `review` and 5 %;
/// 3. the upper bound of strangers passed exceeds the limit for all sets together, or the observed share
///    exceeds it for one set.
///
/// Otherwise *fit*. How scores compare changes the advice, never the answer.
pub(super) fn conclude(evaluation: &Evaluation) -> Conclusion {
    let against = contradictions(evaluation);
    let open = open_questions(evaluation);
    let (fitness, sentence) = if !against.is_empty() {
        (Fitness::Unfit, format!("Not fit for use: {}.", against.join("; ")))
    } else if !open.is_empty() {
        (Fitness::NotShown, format!("Not shown to be fit for use: {}.", open.join("; ")))
    } else {
        (Fitness::Fit, fit_sentence(evaluation))
    };
    Conclusion { fitness, sentence, advice: advice(evaluation) }
}

/// Whether the shelf may be used, and the sentence that says why.
pub fn verdict_sentence(evaluation: &Evaluation) -> (bool, String) {
    let conclusion = &evaluation.conclusion;
    (conclusion.fitness == Fitness::Fit, conclusion.sentence.clone())
}

fn contradictions(evaluation: &Evaluation) -> Vec<String> {
    let (id, shelf) = (&evaluation.id, &evaluation.shelf);
    let mut found = Vec::new();
    let sure = percent(1.0 - evaluation.criteria.delta);
    let mut alarms = |rate: &Rate, point: &OperatingPoint, verb: &str| {
        if rate.lower > point.alpha {
            found.push(format!(
                "it {verb} {} good images, so more than {} at {sure} confidence, while {} was promised",
                counted(rate),
                percent(rate.lower),
                percent(point.alpha)
            ));
        }
    };
    alarms(&id.reject, &shelf.reject, "rejects");
    alarms(&id.review, &shelf.review, "flags");
    let limit = evaluation.criteria.max_escape;
    let before = found.len();
    for set in &evaluation.ood {
        if set.review.lower > limit {
            found.push(format!(
                "of the strangers in {} it passes {}, while at most {} may pass",
                quoted(set),
                counted(&set.review),
                percent(limit)
            ));
        }
    }
    if let Some(pooled) = evaluation.pooled.as_ref().filter(|pooled| pooled.review.lower > limit)
        && found.len() == before
    {
        found.push(format!(
            "it passes {} strangers, while at most {} may pass",
            counted(&pooled.review),
            percent(limit)
        ));
    }
    found
}

fn open_questions(evaluation: &Evaluation) -> Vec<String> {
    let (id, limit) = (&evaluation.id, evaluation.criteria.max_escape);
    let mut found = Vec::new();
    for set in std::iter::once(id).chain(&evaluation.ood) {
        let all = set.images + set.faults;
        if set.faults as f64 > MOST_FAULTS * all as f64 {
            found.push(format!("{} of {} could not be judged", plural(set.faults, "image"), quoted(set)));
        }
    }
    let loosest = LOOSEST_BOUND.max(evaluation.shelf.review.alpha);
    if id.images == 0 {
        found.push("no good image was judged".to_owned());
    } else if id.review.upper > loosest {
        found.push(format!(
            "it flags {} good images, which only shows that no more than {} are flagged (needed: {})",
            counted(&id.review),
            percent(id.review.upper),
            percent(loosest)
        ));
    }
    let Some(pooled) = evaluation.pooled.as_ref().filter(|pooled| pooled.images > 0) else {
        found.push("no stranger was judged, so nothing is known of what it misses".to_owned());
        return found;
    };
    for set in evaluation.ood.iter().filter(|set| set.review.rate.is_some_and(|share| share > limit)) {
        found.push(format!(
            "of the strangers in {} it passes {}, above the limit of {} though within chance",
            quoted(set),
            counted(&set.review),
            percent(limit)
        ));
    }
    if pooled.review.upper > limit {
        found.push(format!(
            "it passes {} strangers, which only shows that no more than {} pass (needed: {}{})",
            counted(&pooled.review),
            percent(pooled.review.upper),
            percent(limit),
            enough_images(limit, evaluation.criteria.delta)
                .map_or_else(String::new, |least| format!("; {least} strangers without a miss would do"))
        ));
    }
    found
}

/// Images that, without one error, bound a rate by `limit`; `None` where no number would.
fn enough_images(limit: f64, delta: f64) -> Option<u64> {
    let within = |x: f64| x > 1e-9 && x < 1.0;
    (within(limit) && within(delta)).then(|| least_images(limit, delta))
}

fn fit_sentence(evaluation: &Evaluation) -> String {
    let (id, shelf) = (&evaluation.id, &evaluation.shelf);
    let escapes = evaluation.pooled.as_ref().map_or_else(String::new, |pooled| {
        format!(
            " Of the strangers it passes {}, so no more than {} at {} confidence; the limit is {}.",
            counted(&pooled.review),
            percent(pooled.review.upper),
            percent(1.0 - evaluation.criteria.delta),
            percent(evaluation.criteria.max_escape)
        )
    });
    format!(
        "Fit for use: it rejects {} good images and flags {}, as promised ({} and {}).{escapes}",
        counted(&id.reject),
        counted(&id.review),
        percent(shelf.reject.alpha),
        percent(shelf.review.alpha)
    )
}

fn advice(evaluation: &Evaluation) -> Vec<String> {
    let mut advice = Vec::new();
    advice.extend(better_score(evaluation));
    advice.extend(flagged_classes(evaluation));
    let (id, shelf) = (&evaluation.id, &evaluation.shelf);
    if id.images > 0 && id.reject.lower <= shelf.reject.alpha && id.reject.upper > shelf.reject.alpha {
        advice.push(format!(
            "The promise of {} false rejects rests on the {} calibration images; the {} here agree with it, \
             but {} without a false reject would be needed to confirm it.",
            percent(shelf.reject.alpha),
            shelf.reject.n,
            plural(id.images, "good image"),
            enough_images(shelf.reject.alpha, evaluation.criteria.delta)
                .map_or_else(|| "more".to_owned(), |least| format!("at least {least}"))
        ));
    }
    if !evaluation.faults.is_empty() {
        advice.push(format!(
            "{} could not be judged; on the line each such image is a fault, never a pass.",
            plural(evaluation.faults.len() as u64, "image")
        ));
    }
    advice
}

/// Another score that separates all strangers clearly better.
fn better_score(evaluation: &Evaluation) -> Option<String> {
    let scores = &evaluation.pooled.as_ref()?.scores;
    let chosen = scores.iter().find(|row| row.chosen)?;
    let better = scores
        .iter()
        .filter(|row| row.contrast.is_some_and(|contrast| contrast.clearly_better))
        .max_by(|a, b| a.auroc.total_cmp(&b.auroc))?;
    let ours =
        evaluation.shelf.kinds.iter().any(|kind| {
            matches!(kind, ScoreKind::Neco | ScoreKind::NecoStd | ScoreKind::NecoMl | ScoreKind::NecoStdMl)
        });
    let cause = match evaluation.collapse.as_ref().and_then(|collapse| collapse.nc1) {
        Some(nc1) if ours && !better.score.starts_with("neco") => {
            format!(" NECO rests on collapsed features, and here NC1 is {nc1:.3}.")
        }
        _ => String::new(),
    };
    Some(format!(
        "{} separates these strangers better than {} (AUROC {:.3} against {:.3}, more than chance explains): \
         fit again with --score {}, or with --score auto and these strangers.{cause}",
        better.score, chosen.score, better.auroc, chosen.auroc, better.score
    ))
}

/// Classes that are flagged more than promised, allowing for how many classes were looked at.
fn flagged_classes(evaluation: &Evaluation) -> Option<String> {
    let classes = &evaluation.id.classes;
    let delta = evaluation.criteria.delta / classes.len().max(1) as f64;
    let alpha = evaluation.shelf.review.alpha;
    let over: Vec<String> = classes
        .iter()
        .filter(|class| rate(class.review.count, class.review.of, delta).lower > alpha)
        .map(|class| format!("“{}” {}", shown(&class.class), counted(&class.review)))
        .collect();
    (!over.is_empty()).then(|| {
        format!(
            "The promise holds for good images as a whole, not for each class; flagged more often than {}: {}. \
             Add good images of these classes and fit again.",
            percent(alpha),
            over.join(", ")
        )
    })
}

fn quoted(set: &SetFigures) -> String {
    format!("“{}”", shown(&set.name))
}
