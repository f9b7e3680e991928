//! The plots of a report as inline SVG, coloured by the page's style sheet.
//! Written by hand: two kinds of plot need less code than a plotting library needs set-up, and no dependency.

use std::fmt::Write as _;

use crate::evaluate::evaluation::{Evaluation, SetFigures};
use crate::evaluate::markup::escaped;
use crate::evaluate::wording::{number, percent, plural};

/// Width of every plot in its own units.
const WIDTH: f64 = 440.0;
/// Colours of the style sheet that sets take in turn.
pub(super) const COLOURS: usize = 6;

/// A drawing with its title and description for those who do not see it.
struct Drawing {
    body: String,
    height: f64,
}

impl Drawing {
    fn new(height: f64) -> Self {
        Self { body: String::new(), height }
    }

    fn rect(&mut self, class: &str, x: f64, y: f64, width: f64, height: f64) {
        if width > 0.0 && height > 0.0 {
            // Writing to a String cannot fail, here and below.
            let _ = writeln!(
                self.body,
                "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
            );
        }
    }

    fn line(&mut self, class: &str, from: [f64; 2], to: [f64; 2]) {
        let _ = writeln!(
            self.body,
            "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
            from[0], from[1], to[0], to[1]
        );
    }

    /// `anchor` is start, middle or end.
    fn text(&mut self, class: &str, anchor: &str, x: f64, y: f64, text: &str) {
        let _ = writeln!(
            self.body,
            "<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
            escaped(text)
        );
    }

    /// `id` is unique in the page.
    fn finish(&self, id: &str, title: &str, description: &str) -> String {
        format!(
            "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\n\
             <title id=\"{id}-t\">{}</title>\n<desc id=\"{id}-d\">{}</desc>\n{}</svg>\n",
            escaped(title),
            escaped(description),
            self.body,
            height = self.height
        )
    }
}

/// Good images upwards, the set downwards, each scaled to its own tallest bar; thresholds as lines.
pub(super) fn distribution(evaluation: &Evaluation, index: usize) -> Option<String> {
    let set = evaluation.ood.get(index)?;
    let edges = &evaluation.bin_edges;
    let (&low, &high) = (edges.first()?, edges.last()?);
    let (left, right, top, middle, bottom) = (10.0, WIDTH - 10.0, 36.0, 118.0, 200.0);
    let x = |value: f64| left + ((value - low) / (high - low)).clamp(0.0, 1.0) * (right - left);
    let mut drawing = Drawing::new(240.0);
    let shelf = &evaluation.shelf;
    let [reject, review] = [&shelf.reject, &shelf.review].map(|point| x(f64::from(point.threshold)));
    drawing.rect("zone-reject", left, top, reject - left, bottom - top);
    drawing.rect("zone-review", reject, top, review - reject, bottom - top);
    let mut bars = |counts: &[u64], class: &str, up: bool| {
        let tallest = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
        for (pair, &count) in edges.windows(2).zip(counts) {
            let (from, to) = (x(pair[0]), x(pair[1]));
            // A single image stays visible beside a thousand.
            let height = if count == 0 { 0.0 } else { (count as f64 / tallest * (middle - top - 14.0)).max(1.2) };
            drawing.rect(class, from + 0.4, if up { middle - height } else { middle }, to - from - 0.8, height);
        }
    };
    bars(&evaluation.id.histogram, "good", true);
    bars(&set.histogram, &format!("fill{}", index % COLOURS), false);
    drawing.line("axis", [left, middle], [right, middle]);
    for (name, at, anchor, nudge) in [("reject", reject, "end", -3.0), ("review", review, "start", 3.0)] {
        drawing.line(&format!("threshold {name}"), [at, top - 6.0], [at, bottom]);
        // Near the edges the label moves inside.
        let (anchor, nudge) = match anchor {
            "end" if at < left + 60.0 => ("start", if review - reject > 60.0 { 3.0 } else { -6.0 }),
            "start" if at > right - 60.0 => ("end", if review - reject > 60.0 { -3.0 } else { 6.0 }),
            _ => (anchor, nudge),
        };
        let raised = if at < left + 60.0 && name == "reject" { 22.0 } else { 9.0 };
        drawing.text("label", anchor, at + nudge, top - raised, name);
    }
    drawing.text("label strong", "start", left + 4.0, top + 14.0, &format!("good images · {}", evaluation.id.images));
    drawing.text("label strong", "end", right, bottom - 4.0, &format!("{} · {}", short(&set.name), set.images));
    for tick in ticks(low, high) {
        drawing.line("axis", [x(tick), bottom], [x(tick), bottom + 4.0]);
        drawing.text("tick", "middle", x(tick).clamp(left + 14.0, right - 14.0), bottom + 16.0, &number(tick));
    }
    drawing.text("tick", "middle", WIDTH / 2.0, bottom + 33.0, &format!("← unfamiliar · {} · familiar →", shelf.score));
    let description = format!(
        "Histogram of the score {}. Of the good images, {} below the review threshold {}; of the strangers, {} \
         below it. Each side is scaled to its own tallest bar.{}",
        shelf.score,
        evaluation.id.review.rate.map_or_else(|| "none".to_owned(), percent),
        number(f64::from(shelf.review.threshold)),
        set.review.rate.map_or_else(|| "none".to_owned(), |share| percent(1.0 - share)),
        beyond(set)
    );
    Some(drawing.finish(&format!("dist{index}"), &format!("Scores: good images and {}", set.name), &description))
}

/// What the end bars hold of what lies outside.
pub(super) fn beyond(set: &SetFigures) -> String {
    match (set.below, set.above) {
        (0, 0) => String::new(),
        (below, 0) => format!(" {} further left in the first bar.", plural(below, "image")),
        (0, above) => format!(" {} further right in the last bar.", plural(above, "image")),
        (below, above) => {
            format!(" {} further left and {above} further right in the end bars.", plural(below, "image"))
        }
    }
}

/// A name short enough for a label.
fn short(name: &str) -> String {
    if name.chars().count() <= 34 {
        return name.to_owned();
    }
    name.chars().take(33).chain(['…']).collect()
}

/// Round numbers inside the range, about five.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low) / 5.0;
    if !(rough.is_finite() && rough > 0.0) {
        return Vec::new();
    }
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|step| *step >= rough).unwrap_or(rough);
    let first = (low / step).ceil();
    let tick = |i: i32| {
        let tick = (first + f64::from(i)) * step;
        // The last digits of a sum are noise: zero is zero.
        if tick.abs() < step * 1e-6 { 0.0 } else { tick }
    };
    (0..12).map(tick).take_while(|tick| *tick <= high).filter(|tick| *tick >= low).collect()
}

/// The curves of all sets: false alarms across, strangers caught upwards. With `logarithmic` the few false alarms
/// that matter on a line take most of the room.
pub(super) fn roc(evaluation: &Evaluation, logarithmic: bool) -> Option<String> {
    if evaluation.ood.iter().all(|set| set.roc.is_empty()) {
        return None;
    }
    let (left, right, top, bottom) = (44.0, WIDTH - 12.0, 12.0, 262.0);
    let decades = (2.0 * evaluation.id.images as f64).log10().ceil().clamp(1.0, 5.0);
    let x = |rate: f64| {
        let place = if logarithmic { 1.0 + rate.max(1e-9).log10() / decades } else { rate };
        left + place.clamp(0.0, 1.0) * (right - left)
    };
    let y = |caught: f64| bottom - caught.clamp(0.0, 1.0) * (bottom - top);
    let mut drawing = Drawing::new(304.0);
    for step in 0..=5 {
        let share = f64::from(step) / 5.0;
        drawing.line("grid", [left, y(share)], [right, y(share)]);
        drawing.text("tick", "end", left - 5.0, y(share) + 4.0, &percent(share));
        if !logarithmic {
            drawing.text("tick", "middle", x(share).min(right - 12.0), bottom + 15.0, &percent(share));
        }
    }
    if logarithmic {
        for decade in 0..=decades as i32 {
            let rate = 10_f64.powi(-decade);
            drawing.line("grid", [x(rate), top], [x(rate), bottom]);
            drawing.text("tick", "middle", x(rate).min(right - 12.0), bottom + 15.0, &percent(rate));
        }
    } else {
        drawing.line("grid dashed", [x(0.0), y(0.0)], [x(1.0), y(1.0)]);
    }
    for (name, point) in [("reject", &evaluation.shelf.reject), ("review", &evaluation.shelf.review)] {
        drawing.line(&format!("threshold {name}"), [x(point.alpha), top], [x(point.alpha), bottom]);
        if logarithmic {
            // Both to the left of their lines, one above the other, where they cannot meet.
            let raised = if name == "reject" { 22.0 } else { 8.0 };
            let (anchor, nudge) = if x(point.alpha) < left + 50.0 { ("start", 4.0) } else { ("end", -4.0) };
            drawing.text("label", anchor, x(point.alpha) + nudge, bottom - raised, name);
        }
    }
    let mut described = Vec::new();
    for (index, set) in evaluation.ood.iter().enumerate() {
        let Some(first) = set.roc.first() else { continue };
        let mut path = format!("M{left:.1} {:.1}", y(first[1]));
        for &[alarms, caught] in &set.roc {
            let _ = write!(path, "H{:.1}V{:.1}", x(alarms), y(caught));
        }
        let colour = index % COLOURS;
        let dash = index / COLOURS % 3;
        let _ = writeln!(drawing.body, "<path class=\"curve line{colour} dash{dash}\" d=\"{path}\"/>");
        for (alarms, missed) in [(&evaluation.id.reject, &set.reject), (&evaluation.id.review, &set.review)] {
            if let (Some(alarms), Some(missed)) = (alarms.rate, missed.rate) {
                let (cx, cy) = (x(alarms), y(1.0 - missed));
                let _ = writeln!(
                    drawing.body,
                    "<circle class=\"point fill{colour}\" cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"4\"/>"
                );
            }
        }
        if let Some(row) = set.scores.first() {
            described.push(format!("{}: AUROC {:.3}", set.name, row.auroc));
        }
    }
    drawing.line("axis", [left, bottom], [right, bottom]);
    drawing.line("axis", [left, top], [left, bottom]);
    let across = if logarithmic { "good images flagged (logarithmic)" } else { "good images flagged" };
    drawing.text("tick", "middle", f64::midpoint(left, right), bottom + 34.0, across);
    let (id, title) = if logarithmic { ("roclog", "ROC, few false alarms enlarged") } else { ("roclin", "ROC") };
    let description = format!(
        "Share of strangers caught against share of good images flagged. {}. Dots: what the shelf's two thresholds \
         do; vertical lines: the false alarms promised.",
        described.join("; ")
    );
    Some(drawing.finish(id, title, &description))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks(-0.1, 1.0), [0.0, 0.5, 1.0]);
        assert_eq!(ticks(0.0, 9.0), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert!(ticks(1.0, 1.0).is_empty() && ticks(f64::NAN, 1.0).is_empty());
    }
}
