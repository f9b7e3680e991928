//! The verbs as a user calls them, on drawn parts: fit, merge, score, eval, inspect and what they refuse.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;
mod drawn;

use std::fs;
use std::path::Path;

use binary::{Answer, argument, shelfwatch};
use drawn::{backbone, fit, good, recipe};
use serde_json::Value;
use shelfwatch::image_file::encode_png;
use shelfwatch::parts::{SIDE, Stranger, Subject, draw};
use shelfwatch_core::Shelf;

const RATES: [&str; 4] = ["--alpha-reject", "0.05", "--alpha-review", "0.1"];

fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.out).unwrap_or_else(|error| panic!("{error}: {}\n{}", answer.out, answer.err))
}

#[test]
fn the_same_inputs_give_the_same_bytes_and_shards_the_same_shelf() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    good(&path("a"), 12, 1);
    good(&path("b"), 9, 2);
    good(&path("all"), 12, 1);
    for product in fs::read_dir(path("b")).unwrap() {
        let product = product.unwrap();
        for picture in fs::read_dir(product.path()).unwrap() {
            let picture = picture.unwrap();
            let name = format!("b-{}", picture.file_name().to_str().unwrap());
            fs::copy(picture.path(), path("all").join(product.file_name()).join(name)).unwrap();
        }
    }
    good(&path("calibrate"), 10, 3);
    let more = ["--calibrate", argument(&path("calibrate")), "--threads", "1"].map(str::to_owned);
    let more: Vec<&str> = more.iter().map(String::as_str).chain(RATES).collect();
    assert_eq!(fit(&path("all"), &path("one.shelf"), &more).code, 0);
    let two_threads: Vec<&str> = more.iter().map(|word| if *word == "1" { "2" } else { word }).collect();
    assert_eq!(fit(&path("all"), &path("two.shelf"), &two_threads).code, 0);
    let one = fs::read(path("one.shelf")).unwrap();
    assert!(one == fs::read(path("two.shelf")).unwrap(), "the number of threads changes the shelf");

    let (model, recipe) = (backbone(), recipe());
    for shard in ["a", "b"] {
        let (images, stats) = (path(shard), path(&format!("{shard}.stats")));
        let answer = shelfwatch([
            "fit",
            "--backbone",
            argument(&model),
            "--preprocess",
            argument(&recipe),
            "--images",
            argument(&images),
            "--stats-out",
            argument(&stats),
        ]);
        assert_eq!(answer.code, 0, "{}", answer.err);
    }
    let (a, b, merged) = (path("a.stats"), path("b.stats"), path("merged.stats"));
    // In the other order, which must not matter.
    assert_eq!(shelfwatch(["merge", argument(&b), argument(&a), "-o", argument(&merged)]).code, 0);
    let calibrate = path("calibrate");
    let from_shards = path("shards.shelf");
    let mut arguments = vec![
        "fit",
        "--backbone",
        argument(&model),
        "--preprocess",
        argument(&recipe),
        "--stats",
        argument(&merged),
        "--calibrate",
        argument(&calibrate),
        "-o",
        argument(&from_shards),
    ];
    arguments.extend(RATES);
    let answer = shelfwatch(arguments);
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert!(one == fs::read(from_shards).unwrap(), "merged shards give another shelf than one run");
}

#[test]
fn score_eval_and_inspect_agree_and_tell_by_their_exit_status() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    good(&path("fit"), 30, 1);
    good(&path("calibrate"), 30, 2);
    good(&path("id"), 10, 3);
    strange(&path("ood"), 1, 4);
    let shelf = path("line.shelf");
    let calibrate = path("calibrate");
    let more: Vec<&str> =
        ["--calibrate", argument(&calibrate), "--score", "neco+knn", "--json"].into_iter().chain(RATES).collect();
    let answer = fit(&path("fit"), &shelf, &more);
    assert_eq!(answer.code, 0, "{}", answer.err);
    let fitted = json(&answer);
    assert_eq!(fitted["fit"]["fit_images"], 240);
    assert!(fitted["fit"]["movement"].as_f64().unwrap() <= 1e-3);

    let inspected = json(&shelfwatch(["inspect", argument(&shelf), "--json"]));
    assert_eq!(inspected["terms"][1]["score"], "knn");
    assert_eq!(inspected["points"], fitted["points"]);
    assert_eq!(inspected["classes"].as_array().unwrap().len(), inspected["dims"]["classes"].as_u64().unwrap() as usize);
    assert!(shelfwatch(["inspect", argument(&backbone())]).out.contains("feature"));

    let (ood, heat) = (path("ood"), path("heat"));
    let scored =
        shelfwatch(["score", "--shelf", argument(&shelf), "--json", "--heatmap", argument(&heat), argument(&ood)]);
    assert_eq!(scored.code, 1, "strangers were not flagged: {}", scored.err);
    let lines: Vec<Value> = scored.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 30);
    assert_eq!(fs::read_dir(&heat).unwrap().count(), 30);
    let review = inspected["points"]["review"]["threshold"].as_f64().unwrap() as f32;
    for line in &lines {
        let score = line["score"].as_f64().unwrap() as f32;
        assert_eq!(line["verdict"] == "pass", score >= review, "{line}");
    }

    let (id, named, report) = (path("id"), format!("strange={}", argument(&ood)), path("report.html"));
    let evaluation = shelfwatch([
        "eval",
        "--shelf",
        argument(&shelf),
        "--id",
        argument(&id),
        "--ood",
        &named,
        "--json",
        "--html",
        argument(&report),
    ]);
    let figures = json(&evaluation);
    let chosen: Vec<&Value> =
        figures["ood"][0]["scores"].as_array().unwrap().iter().filter(|score| score["chosen"] == true).collect();
    assert_eq!(chosen.len(), 1);
    assert!(chosen[0]["auroc"].as_f64().unwrap() > 0.9, "{}", chosen[0]);
    let singles = figures["ood"][0]["scores"].as_array().unwrap().len() - 1;
    assert_eq!(singles, 15, "every score of the method is measured");
    let flagged = lines.iter().filter(|line| line["verdict"] != "pass").count() as u64;
    assert_eq!(figures["ood"][0]["review"]["count"].as_u64().unwrap(), 30 - flagged);
    let html = fs::read_to_string(report).unwrap();
    assert!(html.contains("<svg") && !html.contains("src=\"http"), "the report loads nothing");
}

#[test]
fn bad_files_are_named_counted_and_stop_beyond_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    good(&path("fit"), 24, 1);
    let nut = path("fit").join("nut");
    fs::write(nut.join("broken.png"), b"\x89PNG\r\n\x1a\nno").unwrap();
    fs::write(nut.join("empty.jpg"), b"").unwrap();
    let whole = fs::read(nut.join("000.png")).unwrap();
    fs::write(nut.join("short.png"), &whole[..whole.len() / 2]).unwrap();
    let shelf = path("line.shelf");
    let answer = fit(&path("fit"), &shelf, &RATES);
    assert_eq!(answer.code, 0, "{}", answer.err);
    for name in ["broken.png", "empty.jpg", "short.png"] {
        assert!(answer.err.contains(name), "{name} is not named: {}", answer.err);
    }
    assert!(answer.out.contains("3 files could not be used"), "{}", answer.out);
    let strict: Vec<&str> = ["--max-bad", "1"].into_iter().chain(RATES).collect();
    let answer = fit(&path("fit"), &path("other.shelf"), &strict);
    assert_eq!(answer.code, 2);
    assert!(answer.err.contains("more than --max-bad 1"), "{}", answer.err);
    assert!(!path("other.shelf").exists(), "a failed fit leaves no shelf");

    let scored = shelfwatch([
        "score",
        "--shelf",
        argument(&shelf),
        argument(&nut.join("short.png")),
        argument(&nut.join("000.png")),
    ]);
    assert_eq!(scored.code, 2, "an image that cannot be judged is an error");
    assert_eq!(scored.out.lines().count(), 3, "the other image is judged all the same: {}", scored.out);
}

/// Draws `count` pictures of every kind of stranger into folders of their group.
fn strange(folder: &Path, count: u64, seed: u64) {
    for stranger in Stranger::all() {
        let group = folder.join(stranger.group());
        std::fs::create_dir_all(&group).unwrap();
        for i in 0..count {
            let drawn = draw(Subject::Stranger(stranger), (seed << 32) | i, SIDE);
            let name = format!("{}-{i:03}.png", stranger.name());
            std::fs::write(group.join(name), encode_png(&drawn.frame).unwrap()).unwrap();
        }
    }
}

/// The message of a fit that must fail, with exit status 2.
fn refusal(images: &Path, more: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let answer = fit(images, &folder.path().join("line.shelf"), more);
    assert_eq!(answer.code, 2, "{}{}", answer.out, answer.err);
    answer.err
}

#[test]
fn each_refusal_says_what_is_wrong_and_what_helps() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    good(&path("fit"), 24, 1);
    fs::create_dir(path("nothing")).unwrap();
    let images = path("fit");
    let message = refusal(&path("nothing"), &RATES);
    assert!(message.contains("no image in") && message.contains("; give"), "{message}");
    let message = refusal(&images, &[]);
    assert!(message.contains("needs 2995") && message.contains("--alpha-reject auto"), "{message}");
    let message = refusal(&images, &["--score", "nacho"]);
    assert!(message.contains("no score is named `nacho`") && message.contains("neco-std"), "{message}");
    let message = refusal(&images, &["--alpha-reject", "0.1", "--alpha-review", "0.05"]);
    assert!(message.contains("give --alpha-review above --alpha-reject"), "{message}");
    let same: Vec<&str> = ["--calibrate", argument(&images)].into_iter().chain(RATES).collect();
    let message = refusal(&images, &same);
    assert!(message.contains("is in both --images and --calibrate"), "{message}");
    let taps: Vec<&str> = ["--feature", "no_such_tensor"].into_iter().chain(RATES).collect();
    let message = refusal(&images, &taps);
    assert!(message.contains("no_such_tensor"), "{message}");
    let dims: Vec<&str> = ["--dim", "100000"].into_iter().chain(RATES).collect();
    let message = refusal(&images, &dims);
    assert!(message.contains("100000"), "{message}");

    fs::write(path("not.onnx"), b"garbage, not a network").unwrap();
    let (wrong, shelf) = (path("not.onnx"), path("x.shelf"));
    let arguments = ["fit", "--backbone", argument(&wrong), "--images", argument(&images), "-o", argument(&shelf)];
    let answer = shelfwatch(arguments);
    assert_eq!(answer.code, 2);
    assert!(answer.err.contains("error: "), "{}", answer.err);
    assert!(shelfwatch(["inspect", argument(&wrong)]).err.contains("no shelf or statistics file"));
}

#[test]
fn one_class_and_few_images_fit_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    good(&path("all"), 100, 1);
    let one = path("all").join("gear");
    let answer = fit(&one, &path("line.shelf"), &["--alpha-reject", "auto", "--alpha-review", "auto"]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert!(answer.out.contains("fewer than the"), "{}", answer.out);
    let bytes = fs::read(path("line.shelf")).unwrap();
    assert!(Shelf::parse(&bytes).unwrap().header().class_names.is_empty());
}

#[test]
fn auto_chooses_by_strangers_given_or_made_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    good(&path("fit"), 24, 1);
    strange(&path("ood"), 2, 4);
    let (shelf, ood) = (path("line.shelf"), path("ood"));
    let made: Vec<&str> = ["--score", "auto", "--json"].into_iter().chain(RATES).collect();
    let given: Vec<&str> = ["--ood", argument(&ood)].into_iter().chain(made.iter().copied()).collect();
    for (arguments, origin, groups) in [(made, "made from good images", 13), (given, "strangers given", 4)] {
        let answer = fit(&path("fit"), &shelf, &arguments);
        assert_eq!(answer.code, 0, "{}", answer.err);
        let choice = &json(&answer)["fit"]["choice"];
        assert!(choice["why"].as_str().unwrap().contains(origin), "{choice}");
        assert_eq!(choice["groups"].as_array().unwrap().len(), groups);
        let candidates = choice["candidates"].as_array().unwrap();
        let aurocs: Vec<f64> = candidates.iter().map(|candidate| candidate["auroc"].as_f64().unwrap()).collect();
        assert!(aurocs.is_sorted_by(|a, b| a >= b) && candidates.len() > 15, "{choice}");
        let chosen = candidates.iter().find(|candidate| candidate["kinds"] == choice["kinds"]).unwrap();
        assert!(chosen["kinds"] == "neco" || chosen == &candidates[0], "neco, or else the best: {choice}");
    }
}

#[test]
fn a_detached_shelf_wants_its_own_backbone() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    good(&path("fit"), 24, 1);
    let shelf = path("line.shelf");
    let more: Vec<&str> = ["--detached"].into_iter().chain(RATES).collect();
    assert_eq!(fit(&path("fit"), &shelf, &more).code, 0);
    let picture = path("fit").join("gear/000.png");
    let alone = shelfwatch(["score", "--shelf", argument(&shelf), argument(&picture)]);
    assert!(alone.code == 2 && alone.err.contains("give its ONNX file with --backbone"), "{}", alone.err);
    let model = backbone();
    let with = shelfwatch(["score", "--shelf", argument(&shelf), "--backbone", argument(&model), argument(&picture)]);
    assert!(with.code <= 1, "{}", with.err);
    let twin = model.with_file_name("parts.onnx");
    let other = shelfwatch(["score", "--shelf", argument(&shelf), "--backbone", argument(&twin), argument(&picture)]);
    assert!(other.code == 2 && other.err.contains("not the one this shelf was fitted with"), "{}", other.err);
}

#[test]
fn help_has_examples_and_completions_come_for_every_shell() {
    let verbs =
        ["demo", "fit", "merge", "score", "eval", "inspect", "keygen", "sign", "verify", "run", "install", "rollback"];
    for verb in verbs.into_iter().chain(["doctor", "io-test", "replay", "completions", "manual"]) {
        let help = shelfwatch([verb, "--help"]);
        assert!(
            help.code == 0 && help.out.contains("Example") && help.out.contains(&format!("shelfwatch {verb}")),
            "{verb}"
        );
    }
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(shelfwatch(["completions", shell]).out.contains("shelfwatch"), "{shell}");
    }
    assert_eq!(shelfwatch(["fit", "--no-such-option"]).code, 2);
}
