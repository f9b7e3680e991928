//! The figures, sentences, text and page of an evaluation, on made-up lines whose answers are known.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod evaluation_line;

use evaluation_line::{Dice, image, line, set, shelf};
use shelfwatch::evaluate::{
    Criteria, Evaluation, Fault, Fitness, ImageSet, ShelfFacts, evaluate, to_html, to_text, verdict_sentence,
};

fn judged(good: &ImageSet, strangers: &[ImageSet]) -> Evaluation {
    evaluate(shelf(), None, good, strangers, Criteria::default())
}

/// `of` images, of which `low` lie below both thresholds and the rest above.
fn flagged(name: &str, of: usize, low: usize) -> ImageSet {
    let score = |i: usize| if i < low { 0.5 } else { 0.9 } + i as f64 * 1e-4;
    set(name, (0..of).map(|i| image(&format!("{name}/{i}.png"), None, score(i), 0.0, &shelf())).collect())
}

#[test]
fn the_figures_by_hand() {
    let shelf = shelf();
    let of = |name: &str, scores: &[f64]| {
        set(
            name,
            scores.iter().enumerate().map(|(i, &s)| image(&format!("{name}{i}"), Some("c"), s, 0.0, &shelf)).collect(),
        )
    };
    let good = of("good", &[0.7, 0.8, 0.9, 0.95]);
    let found = judged(&good, &[of("a", &[0.6, 0.85]), of("b", &[0.79])]);
    assert_eq!((found.id.reject.count, found.id.review.count, found.id.images), (1, 2, 4));
    let a = &found.ood[0];
    assert_eq!((a.reject.count, a.review.count, a.review.of), (1, 1, 2));
    // Of the eight pairs 0.6 loses all four, 0.85 wins against 0.7 and 0.8.
    assert!((a.scores[0].auroc - 0.75).abs() < 1e-9 && a.scores[0].chosen && a.scores[0].score == "neco");
    assert!((found.pooled.as_ref().unwrap().scores[0].auroc - 9.0 / 12.0).abs() < 1e-9);
    // Two false alarms: the threshold may rise to 0.9, and nothing passes.
    assert!(a.scores[0].matched_escape.abs() < 1e-9);
    assert_eq!((a.classes.len(), a.classes[0].review.count), (1, 1));
    assert_eq!(found.worst_misses.len(), 1);
    assert_eq!(found.worst_false_alarms.iter().map(|e| e.path.as_str()).collect::<Vec<_>>(), ["good0", "good1"]);
    // Neither the kind that no image has, nor the chosen one twice.
    let names: Vec<&str> = a.scores.iter().map(|row| row.score.as_str()).collect();
    assert!(!names.contains(&"vim") && names.iter().filter(|name| **name == "neco").count() == 1, "{names:?}");
}

#[test]
fn a_score_that_some_images_lack_is_left_out_by_name() {
    let (good, mut strangers) = (flagged("good", 20, 0), flagged("odd", 10, 10));
    strangers.images[3].scores[1] = None;
    strangers.images[4].scores[2] = Some(f64::NAN);
    let found = judged(&good, &[strangers]);
    let left_out: Vec<&str> = found.ood[0].left_out.iter().map(|left| left.score.as_str()).collect();
    assert_eq!(left_out, ["neco-std", "neco-ml"]);
    assert!(found.ood[0].left_out[0].reason.contains("1 of 10 strangers"));
}

#[test]
fn the_plain_sentence_follows_the_rule() {
    let cases = [
        // Good images, of them flagged; strangers, of them caught.
        ((400, 0), (200, 195), Fitness::Fit, "Fit for use"),
        ((400, 40), (200, 195), Fitness::Unfit, "flags 40 of 400"),
        ((400, 0), (200, 120), Fitness::Unfit, "passes 80 of 200"),
        ((400, 0), (200, 178), Fitness::NotShown, "within chance"),
        ((400, 0), (20, 20), Fitness::NotShown, "29 strangers without a miss would do"),
        ((20, 0), (200, 200), Fitness::NotShown, "only shows that no more than 13.9 %"),
        ((0, 0), (200, 200), Fitness::NotShown, "no good image was judged"),
        ((400, 0), (0, 0), Fitness::NotShown, "no stranger was judged"),
    ];
    for ((good, alarms), (strangers, caught), fitness, words) in cases {
        let found = judged(&flagged("good", good, alarms), &[flagged("odd", strangers, caught)]);
        let (fit, sentence) = verdict_sentence(&found);
        assert_eq!(found.conclusion.fitness, fitness, "{sentence}");
        assert_eq!(fit, fitness == Fitness::Fit);
        assert!(sentence.contains(words), "{sentence}");
    }
    let mut broken = flagged("odd", 200, 200);
    broken.faults = vec![Fault { set: "odd".into(), path: "x".into(), reason: "torn".into() }; 20];
    let found = judged(&flagged("good", 400, 0), &[broken]);
    assert!(
        found.conclusion.sentence.contains("20 images of “odd” could not be judged"),
        "{}",
        found.conclusion.sentence
    );
}

#[test]
fn a_clearly_better_score_and_a_class_flagged_too_often_are_named() {
    let shelf = shelf();
    let mut dice = Dice::new(3);
    let mut images = Vec::new();
    for i in 0..400 {
        let class = if i % 4 == 0 { "gear" } else { "nut" };
        let score = if i < 40 && class == "gear" { 0.8 } else { 0.9 + 0.02 * dice.normal() };
        images.push(image(&format!("good/{i}"), Some(class), score, 0.0, &shelf));
    }
    let near = (0..300).map(|i| image(&format!("near/{i}"), None, 0.86 + 0.03 * dice.normal(), -0.3, &shelf)).collect();
    let found = judged(&set("good", images), &[set("near", near)]);
    let advice = found.conclusion.advice.join("\n");
    assert!(advice.contains("knn separates these strangers better than neco"), "{advice}");
    assert!(advice.contains("“gear” 10 of 100") && !advice.contains("“nut”"), "{advice}");
}

#[test]
fn hostile_names_stay_text() {
    let shelf = ShelfFacts {
        product: "<script>alert('p')</script>".to_owned(),
        class_names: vec!["<script>c".to_owned(); 5],
        more: vec![("<script>k".to_owned(), "</style><script>v".to_owned())],
        ..shelf()
    };
    let hostile = "<script>alert(\"x\")</script>\u{1b}[2J\u{202e}";
    let hostile_set = |scores: [f64; 2]| {
        let mut made = set(hostile, scores.map(|s| image(hostile, Some(hostile), s, 0.0, &shelf)).to_vec());
        made.images[1].class = Some("other".to_owned());
        made.faults.push(Fault { set: hostile.to_owned(), path: hostile.to_owned(), reason: hostile.to_owned() });
        made
    };
    let found =
        evaluate(shelf.clone(), None, &hostile_set([0.5, 0.9]), &[hostile_set([0.5, 0.95])], Criteria::default());
    let html = to_html(&found, &[]);
    assert!(!html.contains("<script") && html.contains("&lt;script&gt;"));
    for text in [html, to_text(&found, 100)] {
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "control and direction characters are spelled out");
    }
}

#[test]
fn degenerate_lines_give_whole_pages() {
    let of =
        |name: &str, scores: &[f64]| set(name, scores.iter().map(|&s| image(name, None, s, 0.0, &shelf())).collect());
    let lines: [(&str, ImageSet, Vec<ImageSet>); 7] = [
        ("nothing", of("good", &[]), vec![]),
        ("no strangers", of("good", &[0.9]), vec![]),
        ("an empty set", of("good", &[0.9]), vec![of("none", &[])]),
        ("no good images", of("good", &[]), vec![of("odd", &[0.3])]),
        ("one image each", of("good", &[0.9]), vec![of("odd", &[0.3])]),
        ("all equal", of("good", &[0.8; 30]), vec![of("odd", &[0.8; 30])]),
        ("not numbers", of("good", &[f64::NAN, 0.9]), vec![of("odd", &[f64::INFINITY, -3e38, 3e38])]),
    ];
    for (what, good, strangers) in lines {
        let found = judged(&good, &strangers);
        let html = to_html(&found, &[]);
        for word in ["NaN", ">inf", "\"inf", " inf"] {
            assert!(!html.contains(word), "{what}: {word} in the page");
        }
        assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count(), "{what}");
        assert_eq!(html.matches("<title").count(), 1 + html.matches("<desc").count(), "{what}: a plot without words");
        let json = serde_json::to_value(&found).unwrap();
        assert_eq!(json["format"], "shelfwatch-eval", "{what}");
        assert_ne!(json["conclusion"]["fitness"], "fit", "{what}");
        assert!(!to_text(&found, 80).is_empty());
    }
    let found = judged(&of("good", &[f64::NAN, 0.9]), &[]);
    assert_eq!(
        (found.faults.len(), found.id.images, found.id.faults),
        (1, 1, 1),
        "a score that is no number is a fault"
    );
}

#[test]
fn the_text_keeps_to_its_width() {
    let (shelf, good, sets) = line();
    let found = evaluate(shelf, None, &good, &sets, Criteria::default());
    for width in [60, 80, 132] {
        let text = to_text(&found, width);
        let widest = text.lines().max_by_key(|line| line.chars().count()).unwrap();
        assert!(widest.chars().count() <= width, "{width}: {widest}");
        assert!(text.contains("* neco") && text.contains("torn.jpg") && text.trim_end().ends_with('.'), "{text}");
    }
}

#[test]
fn the_same_images_give_the_same_page_and_json() {
    let (shelf, good, sets) = line();
    let one = evaluate(shelf.clone(), None, &good, &sets, Criteria::default());
    let two = evaluate(shelf, None, &good, &sets, Criteria::default());
    assert_eq!(to_html(&one, &[]), to_html(&two, &[]));
    assert_eq!(serde_json::to_string(&one).unwrap(), serde_json::to_string(&two).unwrap());
}

/// Every field of the JSON is in its description, and every field described is there.
#[test]
fn the_json_is_described() {
    let (shelf, good, mut sets) = line();
    sets[0].images[0].scores[1] = None;
    let nc5 = vec![shelfwatch::evaluate::Nc5 { set: "unknown parts".to_owned(), value: 0.1 }];
    let collapse = shelfwatch::evaluate::CollapseFigures { nc5, ..Default::default() };
    let found = evaluate(shelf, Some(collapse), &good, &sets, Criteria::default());
    let mut fields = std::collections::BTreeSet::new();
    collect(&serde_json::to_value(&found).unwrap(), &mut fields);
    let described = include_str!("../docs/eval-json.md");
    let rows = described.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let rows: std::collections::BTreeSet<String> = rows.map(str::to_owned).collect();
    assert_eq!(fields.difference(&rows).collect::<Vec<_>>(), Vec::<&String>::new(), "not described");
    assert_eq!(rows.difference(&fields).collect::<Vec<_>>(), Vec::<&String>::new(), "described, but not there");
}

fn collect(value: &serde_json::Value, fields: &mut std::collections::BTreeSet<String>) {
    match value {
        serde_json::Value::Object(object) => {
            for (name, value) in object {
                fields.insert(name.clone());
                collect(value, fields);
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| collect(value, fields)),
        _ => {}
    }
}
