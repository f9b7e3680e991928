//! The evaluation as plain text for a terminal, without colours.
//! No line is wider than asked, as long as that is at least 60 columns; long names lose their beginning.

use std::fmt::Write as _;

use crate::evaluate::evaluation::{Evaluation, Example, Rate, SetFigures};
use crate::evaluate::wording::{bounds, counted, number, percent, plural, shown, tail};

/// Narrowest text that is laid out for.
const NARROWEST: usize = 60;
/// Classes listed before the rest is only counted.
const CLASSES: usize = 20;

/// The text, at most `width` columns wide, with a line end at the end.
pub fn to_text(evaluation: &Evaluation, width: usize) -> String {
    let width = width.max(NARROWEST);
    let mut blocks = vec![head(evaluation), errors(evaluation, width), scores(evaluation, width)];
    blocks.push(classes(&evaluation.id, "false alarms by class (at review)", width));
    for set in evaluation.ood.iter().filter(|set| set.classes.len() > 1) {
        blocks.push(classes(set, &format!("{}: passed, by sub-folder", shown(&set.name)), width));
    }
    blocks.push(collapse(evaluation));
    blocks.push(examples("strangers that pass most easily", &evaluation.worst_misses, width));
    blocks.push(examples("good images that look least familiar", &evaluation.worst_false_alarms, width));
    blocks.push(faults(evaluation, width));
    blocks.push(conclusion(evaluation));
    let mut text = String::new();
    for block in blocks.into_iter().filter(|block| !block.is_empty()) {
        if !text.is_empty() {
            text.push('\n');
        }
        for line in block.lines() {
            text.push_str(&wrap(line, width));
        }
    }
    text
}

fn head(evaluation: &Evaluation) -> String {
    let shelf = &evaluation.shelf;
    let mut text = format!(
        "shelf {}· score {} · {} of {} feature dimensions kept\n",
        if shelf.product.is_empty() { String::new() } else { format!("{} ", shown(&shelf.product)) },
        shown(&shelf.score),
        shelf.kept_dim,
        shelf.feature_dim
    );
    for (name, point) in [("reject", &shelf.reject), ("review", &shelf.review)] {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(
            text,
            "{name} below {}: at most {} false alarms, from {} calibration images (bound {})",
            number(f64::from(point.threshold)),
            percent(point.alpha),
            point.n,
            percent(point.bound)
        );
    }
    text
}

fn errors(evaluation: &Evaluation, width: usize) -> String {
    let sure = percent(1.0 - evaluation.criteria.delta);
    let mut text = format!("errors, with their bounds (each holds at {sure} confidence)\n");
    let room = width.saturating_sub(44).clamp(12, 30);
    let mut line = |name: &str, rate: &Rate| {
        let _ = writeln!(text, "  {:<room$} {:<21} {}", tail(name, room), counted(rate), bounds(rate));
    };
    line("good images rejected", &evaluation.id.reject);
    line("good images flagged", &evaluation.id.review);
    for set in evaluation.ood.iter().chain(&evaluation.pooled) {
        let name = shown(&set.name);
        line(&format!("{name} not rejected"), &set.reject);
        line(&format!("{name} passed"), &set.review);
    }
    text
}

/// One column a set, as many side by side as fit.
fn scores(evaluation: &Evaluation, width: usize) -> String {
    let mut sets: Vec<&SetFigures> = evaluation.ood.iter().filter(|set| !set.scores.is_empty()).collect();
    if sets.len() > 1 {
        sets.extend(&evaluation.pooled);
    }
    let Some(first) = sets.first() else { return String::new() };
    let names: Vec<&str> = first.scores.iter().map(|row| row.score.as_str()).collect();
    let name_width = names.iter().map(|name| name.len()).max().unwrap_or(0).max(5);
    let mut text =
        "scores: AUROC / FPR95 (share of strangers passed at 5 % false alarms); * is the shelf's\n".to_owned();
    for group in sets.chunks(((width - name_width - 4) / 16).max(1)) {
        let _ = write!(text, "    {:<name_width$}", "");
        for set in group {
            let _ = write!(text, " {:>15}", tail(&shown(&set.name), 15));
        }
        text.push('\n');
        for name in &names {
            let chosen = first.scores.iter().any(|row| row.chosen && row.score == *name);
            let _ = write!(text, "  {} {name:<name_width$}", if chosen { '*' } else { ' ' });
            for set in group {
                let cell = set
                    .scores
                    .iter()
                    .find(|row| row.score == *name)
                    .map_or_else(|| "–".to_owned(), |row| format!("{:.3} / {:.3}", row.auroc, row.fpr95));
                let _ = write!(text, " {cell:>15}");
            }
            text.push('\n');
        }
    }
    let all = evaluation.pooled.as_ref().and_then(|pooled| pooled.scores.first());
    if let Some(row) = all {
        let _ = writeln!(
            text,
            "  {} on all strangers: AUPR-out {:.3}, AUPR-in {:.3}",
            row.score, row.aupr_out, row.aupr_in
        );
    }
    let left_out = evaluation.pooled.iter().flat_map(|pooled| &pooled.left_out);
    for left_out in left_out {
        let _ = writeln!(text, "  {} is left out: {}", left_out.score, left_out.reason);
    }
    text
}

fn classes(set: &SetFigures, title: &str, width: usize) -> String {
    if set.classes.is_empty() {
        return String::new();
    }
    let mut text = format!("{title}\n");
    let room = width.saturating_sub(44).clamp(12, 30);
    for class in set.classes.iter().take(CLASSES) {
        let name = tail(&shown(&class.class), room);
        let _ = writeln!(text, "  {name:<room$} {:<21} {}", counted(&class.review), bounds(&class.review));
    }
    if let Some(rest) = set.classes.len().checked_sub(CLASSES + 1) {
        let _ = writeln!(text, "  and {} more", rest + 1);
    }
    text
}

fn collapse(evaluation: &Evaluation) -> String {
    let Some(collapse) = &evaluation.collapse else { return String::new() };
    let mut parts = Vec::new();
    let mut part = |name: &str, value: Option<f64>| {
        parts.extend(value.map(|value| format!("{name} {}", number(value))));
    };
    part("NC1", collapse.nc1);
    part("NC2 equinorm", collapse.nc2_equinorm);
    part("NC2 equiangular", collapse.nc2_equiangular);
    part("effective rank", collapse.effective_rank);
    for nc5 in &collapse.nc5 {
        part(&format!("NC5 {}", shown(&nc5.set)), Some(nc5.value));
    }
    if collapse.dead_channels > 0 {
        parts.push(plural(collapse.dead_channels, "dead channel"));
    }
    if parts.is_empty() && collapse.words.is_empty() {
        return String::new();
    }
    let mut text = format!("neural collapse\n  {}\n", parts.join(" · "));
    for words in &collapse.words {
        let _ = writeln!(text, "  {}", shown(words));
    }
    text
}

fn examples(title: &str, examples: &[Example], width: usize) -> String {
    if examples.is_empty() {
        return String::new();
    }
    let mut text = format!("{title}\n");
    let room = width.saturating_sub(36);
    for example in examples {
        let _ = writeln!(
            text,
            "  {:>10}  p {:<8} {:<6}  {}",
            number(f64::from(example.score)),
            number(example.p_value),
            example.call.name(),
            tail(&shown(&example.path), room)
        );
    }
    text
}

fn faults(evaluation: &Evaluation, width: usize) -> String {
    let faults = &evaluation.faults;
    if faults.is_empty() {
        return String::new();
    }
    let mut text = format!("{} could not be judged\n", plural(faults.len() as u64, "image"));
    for fault in faults.iter().take(CLASSES) {
        let _ = writeln!(text, "  {}: {}", tail(&shown(&fault.path), width / 2), shown(&fault.reason));
    }
    if let Some(rest) = faults.len().checked_sub(CLASSES + 1) {
        let _ = writeln!(text, "  and {} more", rest + 1);
    }
    text
}

fn conclusion(evaluation: &Evaluation) -> String {
    let conclusion = &evaluation.conclusion;
    let mut text = String::new();
    for advice in &conclusion.advice {
        let _ = writeln!(text, "- {advice}");
    }
    text + &conclusion.sentence + "\n"
}

/// The line broken at blanks; what follows the first line is indented by two more than it.
fn wrap(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return format!("{line}\n");
    }
    let indent = line.len() - line.trim_start_matches(' ').len();
    let mut text = " ".repeat(indent);
    let mut column = indent;
    for word in line.split_whitespace() {
        let length = word.chars().count();
        if column > indent && column + 1 + length > width {
            text.push('\n');
            text.push_str(&" ".repeat(indent + 2));
            column = indent + 2;
        } else if column > indent {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    text.push('\n');
    text
}
