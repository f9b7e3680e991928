//! The tables of the HTML page.
//! Each says in its caption what its numbers are shares of.

use std::fmt::Write as _;

use crate::evaluate::evaluation::{ClassFigures, Evaluation, Rate, SetFigures};
use crate::evaluate::markup::{Table, escaped};
use crate::evaluate::wording::{bounds, counted, number, percent};

/// Row style of the shelf's own score.
const CHOSEN: &str = "chosen";
/// Row style of a rate that contradicts its promise.
const OVER: &str = "over";

/// Errors at both operating points, set by set.
pub(super) fn errors(evaluation: &Evaluation) -> String {
    let sure = percent(1.0 - evaluation.criteria.delta);
    let mut table =
        Table::new("Errors of the shelf", &["set", "at reject", "bounds", "at review", "bounds", "not judged"]);
    let mut row = |name: String, set: &SetFigures, over: bool| {
        let [reject, review] = [&set.reject, &set.review];
        let cells = [name, counted(reject), bounds(reject), counted(review), bounds(review), set.faults.to_string()];
        table.row(if over { OVER } else { "" }, &cells);
    };
    let id = &evaluation.id;
    let shelf = &evaluation.shelf;
    let broken = id.reject.lower > shelf.reject.alpha || id.review.lower > shelf.review.alpha;
    row("good images: false alarms".to_owned(), id, broken);
    for set in evaluation.ood.iter().chain(&evaluation.pooled) {
        row(format!("{}: escapes", set.name), set, set.review.lower > evaluation.criteria.max_escape);
    }
    let note = format!(
        "<p class=\"note\">Each bound alone holds at {sure} confidence. At reject a good image counts when it is rejected, a stranger when it is not; at review \
                a good image counts when it is flagged at all, a stranger when nobody looks at it.</p>\n"
    );
    table.html() + &note
}

/// AUROC of every score on every set, then all figures set by set.
pub(super) fn scores(evaluation: &Evaluation) -> String {
    let Some(pooled) = evaluation.pooled.as_ref().filter(|pooled| !pooled.scores.is_empty()) else {
        return String::new();
    };
    let sets: Vec<&SetFigures> = evaluation.ood.iter().filter(|set| !set.scores.is_empty()).chain([pooled]).collect();
    let mut columns = vec!["score"];
    columns.extend(sets.iter().map(|set| set.name.as_str()));
    let mut matrix = Table::new("AUROC (the shelf's own score is marked)", &columns);
    for row in &pooled.scores {
        let mut cells = vec![marked(&row.score, row.chosen)];
        cells.extend(sets.iter().map(|set| {
            let found = set.scores.iter().find(|other| other.score == row.score);
            found.map_or_else(|| "–".to_owned(), |found| format!("{:.3}", found.auroc))
        }));
        matrix.row(if row.chosen { CHOSEN } else { "" }, &cells);
    }
    let mut html = matrix.html();
    html.push_str(
        "<p class=\"note\">Computed from the same features and logits. The figures of the shelf's score are those of the \
         device's own arithmetic. The shelf holds thresholds for its own score only; so that the others can be compared, \
         “passed at equal false alarms” puts each score's threshold where it flags as many of these very good images as \
         the shelf's review threshold does. “Better” means an AUROC higher by 0.02 and by three standard errors of the \
         difference on the same images.</p>\n",
    );
    for set in sets {
        let name = escaped(&set.name);
        // Writing to a String cannot fail, here and below.
        let _ =
            writeln!(html, "<details><summary>All figures: <bdi>{name}</bdi></summary>\n{}</details>", set_scores(set));
    }
    html
}

fn set_scores(set: &SetFigures) -> String {
    let mut table = Table::new(
        &format!("Every score on {}", set.name),
        &[
            "score",
            "AUROC",
            "FPR95",
            "AUPR-out",
            "AUPR-in",
            "passed at equal false alarms",
            "AUROC against the shelf's",
        ],
    );
    for row in &set.scores {
        let against = row.contrast.map_or_else(
            || "–".to_owned(),
            |contrast| {
                let better = if contrast.clearly_better { " better" } else { "" };
                format!("{:+.3} ± {:.3}{better}", contrast.difference, contrast.standard_error)
            },
        );
        let cells = [
            marked(&row.score, row.chosen),
            format!("{:.3}", row.auroc),
            format!("{:.3}", row.fpr95),
            format!("{:.3}", row.aupr_out),
            format!("{:.3}", row.aupr_in),
            percent(row.matched_escape),
            against,
        ];
        table.row(if row.chosen { CHOSEN } else { "" }, &cells);
    }
    let mut html = table.html();
    for left_out in &set.left_out {
        let (score, reason) = (escaped(&left_out.score), escaped(&left_out.reason));
        let _ = writeln!(html, "<p class=\"note\">{score} is left out: {reason}.</p>");
    }
    html
}

fn marked(score: &str, chosen: bool) -> String {
    if chosen { format!("{score} (this shelf)") } else { score.to_owned() }
}

/// False alarms by class, and escapes by sub-folder where a set has several.
pub(super) fn classes(evaluation: &Evaluation) -> String {
    let alpha = evaluation.shelf.review.alpha;
    let mut html = class_table("Good images: false alarms by class", &evaluation.id.classes, |rate| rate.lower > alpha);
    let limit = evaluation.criteria.max_escape;
    for set in evaluation.ood.iter().filter(|set| set.classes.len() > 1) {
        let caption = format!("{}: escapes by sub-folder", set.name);
        html.push_str(&class_table(&caption, &set.classes, |rate| rate.lower > limit));
    }
    html
}

fn class_table(caption: &str, classes: &[ClassFigures], over: impl Fn(&Rate) -> bool) -> String {
    let mut table = Table::new(caption, &["class", "images", "at reject", "at review", "bounds at review"]);
    for class in classes {
        let cells = [
            class.class.clone(),
            class.images.to_string(),
            counted(&class.reject),
            counted(&class.review),
            bounds(&class.review),
        ];
        table.row(if over(&class.review) { OVER } else { "" }, &cells);
    }
    table.html()
}

/// NC1, NC2 and NC5 with what they mean.
pub(super) fn collapse(evaluation: &Evaluation) -> String {
    let Some(collapse) = &evaluation.collapse else { return String::new() };
    let mut words = String::new();
    for said in &collapse.words {
        let _ = writeln!(words, "<p>{}</p>", sentence(said));
    }
    let mut table = Table::new("Neural collapse", &["figure", "value", "what it says"]);
    let mut row = |name: String, value: Option<f64>, meaning: &str| {
        if let Some(value) = value {
            table.row("", &[name, number(value), meaning.to_owned()]);
        }
    };
    row("NC1".to_owned(), collapse.nc1, "spread within classes against between them; 0: each class is one point");
    row(
        "NC2 equinorm".to_owned(),
        collapse.nc2_equinorm,
        "0: all classes lie equally far out; if not, near ones alarm more",
    );
    row("NC2 equiangular".to_owned(), collapse.nc2_equiangular, "0: all classes lie at equal angles");
    for nc5 in &collapse.nc5 {
        row(format!("NC5 {}", nc5.set), Some(nc5.value), "0: these strangers lie at right angles to every class");
    }
    row("effective rank".to_owned(), collapse.effective_rank, "directions in which good images vary");
    row("dead channels".to_owned(), Some(collapse.dead_channels as f64), "feature channels that never vary");
    format!("{words}<div class=\"facts\">{}</div>\n", table.html())
}

/// Escaped, with a capital at the start and a stop at the end.
fn sentence(words: &str) -> String {
    let mut chars = words.chars();
    let Some(first) = chars.next() else { return String::new() };
    let stop = if words.ends_with(['.', '!', '?']) { "" } else { "." };
    escaped(&first.to_uppercase().chain(chars).collect::<String>()) + stop
}

/// Images that could not be judged.
pub(super) fn faults(evaluation: &Evaluation) -> String {
    let mut table = Table::new("Not judged, not counted as good or strange", &["file", "set", "reason"]);
    for fault in &evaluation.faults {
        table.row("", &[fault.path.clone(), fault.set.clone(), fault.reason.clone()]);
    }
    let html = table.html();
    if html.is_empty() { html } else { format!("<div class=\"faults\">{html}</div>\n") }
}

/// What the shelf says of itself.
pub(super) fn facts(evaluation: &Evaluation) -> String {
    let shelf = &evaluation.shelf;
    let mut points = Table::new(
        "Operating points",
        &[
            "point",
            "alarms below",
            "promised",
            "calibration images",
            "rank k",
            "bound",
            "the promise fails with at most",
        ],
    );
    for (name, point) in [("reject", &shelf.reject), ("review", &shelf.review)] {
        let cells = [
            name.to_owned(),
            number(f64::from(point.threshold)),
            percent(point.alpha),
            point.n.to_string(),
            point.k.to_string(),
            percent(point.bound),
            percent(point.delta),
        ];
        points.row("", &cells);
    }
    let mut facts = Table::new("Facts", &["fact", "value"]);
    facts.row("", &["score".to_owned(), shelf.score.clone()]);
    facts.row("", &["dimensions".to_owned(), format!("{} of {} kept", shelf.kept_dim, shelf.feature_dim)]);
    for (name, value) in &shelf.more {
        facts.row("", &[name.clone(), value.clone()]);
    }
    format!("{}<div class=\"facts\">{}</div>\n", points.html(), facts.html())
}
