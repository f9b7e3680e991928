//! The evaluation as one HTML page: no script, nothing loaded from elsewhere, light and dark.
//! Every name is escaped, and a content policy in the page forbids what is not drawn here.

use std::fmt::Write as _;

use crate::evaluate::evaluation::{Evaluation, Fitness, Rate};
use crate::evaluate::gallery::{Thumbnail, gallery};
use crate::evaluate::markup::escaped;
use crate::evaluate::plot;
use crate::evaluate::table;
use crate::evaluate::wording::{counted, number, percent, plural};

const STYLE: &str = include_str!("report.css");

/// The whole page. `thumbnails` may hold pictures of the examples; others are listed without.
pub fn to_html(evaluation: &Evaluation, thumbnails: &[Thumbnail]) -> String {
    let product = escaped(&evaluation.shelf.product);
    let sections = [
        head(evaluation),
        tiles(evaluation),
        advice(evaluation),
        distributions(evaluation),
        curves(evaluation),
        section("Errors, with what they can be at most", &table::errors(evaluation)),
        section("Every score on the same images", &table::scores(evaluation)),
        section("By class", &table::classes(evaluation)),
        section("Is the backbone collapsed?", &table::collapse(evaluation)),
        section("Strangers that pass most easily", &gallery(&evaluation.worst_misses, thumbnails)),
        section("Good images that look least familiar", &gallery(&evaluation.worst_false_alarms, thumbnails)),
        section("Images that could not be judged", &table::faults(evaluation)),
        section("The shelf", &table::facts(evaluation)),
    ];
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         img-src data:\">\n<title>shelfwatch evaluation: {product}</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n<main>\n{}{}</main>\n</body>\n</html>\n",
        sections.concat(),
        footer(evaluation)
    )
}

fn section(title: &str, body: &str) -> String {
    if body.is_empty() { String::new() } else { format!("<section>\n<h2>{}</h2>\n{body}</section>\n", escaped(title)) }
}

fn head(evaluation: &Evaluation) -> String {
    let shelf = &evaluation.shelf;
    let class = match evaluation.conclusion.fitness {
        Fitness::Fit => "fit",
        Fitness::Unfit => "unfit",
        Fitness::NotShown => "not-shown",
    };
    let strangers: u64 = evaluation.ood.iter().map(|set| set.images).sum();
    format!(
        "<header>\n<h1>Evaluation of {}</h1>\n<p class=\"sub\">score <b>{}</b> · {} · {} in {}</p>\n\
         <p class=\"verdict {class}\">{}</p>\n</header>\n",
        escaped(&shelf.product),
        escaped(&shelf.score),
        plural(evaluation.id.images, "good image"),
        plural(strangers, "stranger"),
        plural(evaluation.ood.len() as u64, "set"),
        escaped(&evaluation.conclusion.sentence)
    )
}

fn tiles(evaluation: &Evaluation) -> String {
    let shelf = &evaluation.shelf;
    let mut tiles = String::new();
    let mut tile = |name: &str, rate: &Rate, what: &str, aim: &str| {
        let value = rate.rate.map_or_else(|| "–".to_owned(), percent);
        // Writing to a String cannot fail.
        let _ = writeln!(
            tiles,
            "<li><span class=\"name\">{name}</span><b>{value}</b><span>{} of {} {what}</span>\
             <span>at most {}</span><span>{aim}</span></li>",
            rate.count,
            rate.of,
            percent(rate.upper)
        );
    };
    let promised = |alpha: f64| format!("promised: {}", percent(alpha));
    tile("False rejects", &evaluation.id.reject, "good images", &promised(shelf.reject.alpha));
    tile("False alarms", &evaluation.id.review, "good images flagged", &promised(shelf.review.alpha));
    if let Some(pooled) = &evaluation.pooled {
        let limit = format!("limit: {}", percent(evaluation.criteria.max_escape));
        tile("Escapes", &pooled.review, "strangers passed", &limit);
        if let Some(row) = pooled.scores.first() {
            let _ = writeln!(
                tiles,
                "<li><span class=\"name\">AUROC, all strangers</span><b>{:.3}</b><span>1 is perfect, 0.5 is chance</span>\
                 <span>FPR95: {} pass at 5 % false alarms</span></li>",
                row.auroc,
                percent(row.fpr95)
            );
        }
    }
    format!("<ul class=\"tiles\">\n{tiles}</ul>\n")
}

fn advice(evaluation: &Evaluation) -> String {
    let mut items = String::new();
    for advice in &evaluation.conclusion.advice {
        let _ = writeln!(items, "<li>{}</li>", escaped(advice));
    }
    if items.is_empty() { String::new() } else { section("To know", &format!("<ul class=\"advice\">\n{items}</ul>\n")) }
}

fn distributions(evaluation: &Evaluation) -> String {
    let mut figures = String::new();
    for (index, set) in evaluation.ood.iter().enumerate() {
        let Some(svg) = plot::distribution(evaluation, index) else { continue };
        let _ = writeln!(
            figures,
            "<figure>{svg}<figcaption><bdi>{}</bdi>: passed {}.{}</figcaption></figure>",
            escaped(&set.name),
            counted(&set.review),
            plot::beyond(set)
        );
    }
    if figures.is_empty() {
        return String::new();
    }
    let note = format!(
        "<p class=\"note\">Good images upwards, strangers downwards, each scaled to its own tallest bar. Left of \
         <b>reject</b> ({}) the station acts by itself, left of <b>review</b> ({}) a person looks.{}</p>\n",
        number(f64::from(evaluation.shelf.reject.threshold)),
        number(f64::from(evaluation.shelf.review.threshold)),
        if evaluation.id.below + evaluation.id.above > 0 {
            format!(" Of the good images:{}", plot::beyond(&evaluation.id))
        } else {
            String::new()
        }
    );
    section("How far apart the scores lie", &format!("{note}<div class=\"plots\">\n{figures}</div>\n"))
}

fn curves(evaluation: &Evaluation) -> String {
    let (Some(logarithmic), Some(linear)) = (plot::roc(evaluation, true), plot::roc(evaluation, false)) else {
        return String::new();
    };
    let mut legend = String::new();
    for (index, set) in evaluation.ood.iter().enumerate() {
        let Some(row) = set.scores.first() else { continue };
        let _ = writeln!(
            legend,
            "<li><svg viewBox=\"0 0 28 10\" aria-hidden=\"true\"><path class=\"curve line{} dash{}\" d=\"M0 5H28\"/></svg>\
             <bdi>{}</bdi> (AUROC {:.3}, FPR95 {:.3})</li>",
            index % plot::COLOURS,
            index / plot::COLOURS % 3,
            escaped(&set.name),
            row.auroc,
            row.fpr95
        );
    }
    section(
        "Caught against falsely flagged (ROC)",
        &format!(
            "<p class=\"note\">Upwards: strangers caught. Across: good images flagged. Dots show what the shelf's two \
             thresholds do on these images, the vertical lines the share of false alarms promised for each.</p>\n\
             <ul class=\"legend\">\n{legend}</ul>\n<div class=\"plots\">\n\
             <figure>{logarithmic}<figcaption>Few false alarms enlarged</figcaption></figure>\n\
             <figure>{linear}<figcaption>The whole range</figcaption></figure>\n</div>\n"
        ),
    )
}

fn footer(evaluation: &Evaluation) -> String {
    format!(
        "<footer><p>A low score means unfamiliar to this classifier, nothing more: a fault that the classifier does not \
         see changes no score. Bounds are one-sided Clopper–Pearson bounds, each at {} confidence. “Passed” means not \
         even flagged for review. FPR95 is the share of strangers passed when 5 % of the good images are \
         flagged.</p></footer>\n",
        percent(1.0 - evaluation.criteria.delta)
    )
}
