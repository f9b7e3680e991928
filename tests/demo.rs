//! The demo keeps its promise: no more false alarms than promised, at least 95 % of the strangers caught, all files there.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;

use binary::{argument, shelfwatch};
use serde_json::Value;
use shelfwatch_core::Shelf;

#[test]
fn the_demo_keeps_its_promise() {
    let folder = tempfile::tempdir().unwrap();
    let mut sums = [[0_u64; 3]; 2];
    // Several draws: the promise of few false alarms is one on average, and 420 good parts say little of 1 %.
    let draws = std::env::var("SHELFWATCH_DEMOS").map_or(5, |count| count.parse().unwrap());
    for seed in 1..=draws {
        let seed = seed.to_string();
        let out = folder.path().join(&seed);
        let answer = shelfwatch(["demo", "--json", "--seed", &seed, "--out", argument(&out)]);
        assert_eq!(answer.code, 0, "{}", answer.err);
        let found: Value = serde_json::from_str(&answer.out).unwrap();
        for (sums, set) in sums.iter_mut().zip(["good", "strangers"]) {
            for (sum, what) in sums.iter_mut().zip(["parts", "rejected", "flagged"]) {
                *sum += found["line"][set][what].as_u64().unwrap();
            }
        }
        let strangers = |what: &str| found["line"]["strangers"][what].as_u64().unwrap();
        let (caught, all) = (strangers("flagged"), strangers("parts"));
        assert!(all >= 50 && caught * 100 >= all * 95, "seed {seed}: caught {caught} of {all}");
        for name in ["report.html", "flagged.png", "line.stats"] {
            assert!(out.join(name).metadata().unwrap().len() > 1000, "{name}");
        }
    }
    let shelf = std::fs::read(folder.path().join("1/line.shelf")).unwrap();
    let header = Shelf::parse(&shelf).unwrap().header().clone();
    let [[parts, rejected, flagged], [strangers, _, caught]] = sums;
    for (alarms, alpha) in [(rejected, header.reject.alpha), (flagged, header.review.alpha)] {
        assert!(alarms as f64 <= alpha * parts as f64, "{alarms} alarms on {parts} good parts, promised {alpha}");
    }
    println!("caught {caught} of {strangers}");
}
