//! Heat maps: their mean is the squared residual, and on drawn parts with a local defect their maximum lies on it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;
mod drawn;

use std::path::Path;

use binary::argument;
use drawn::{fit, good};
use shelfwatch::detector::Detector;
use shelfwatch::parts::{Defect, SIDE, Stranger, Subject, draw};
use shelfwatch_core::{Judgement, Shelf};

fn shelf(folder: &Path) -> Vec<u8> {
    good(&folder.join("fit"), 60, 1);
    good(&folder.join("calibrate"), 60, 2);
    let (path, calibrate) = (folder.join("line.shelf"), folder.join("calibrate"));
    let more = [
        "--calibrate",
        argument(&calibrate),
        "--score",
        "neco+knn",
        "--alpha-reject",
        "0.01",
        "--alpha-review",
        "0.03",
    ];
    let answer = fit(&folder.join("fit"), &path, &more);
    assert_eq!(answer.code, 0, "{}{}", answer.out, answer.err);
    std::fs::read(path).unwrap()
}

#[test]
fn the_mean_is_the_squared_residual_and_the_maximum_lies_on_the_defect() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = shelf(folder.path());
    let shelf = Shelf::parse(&bytes).unwrap();
    let mut detector = Detector::new(shelf.clone(), None).unwrap();
    let mut scratch = vec![0.0; shelf.scratch_len()];
    let (mut flagged, mut inside, mut furthest) = (0_u32, 0_u32, 0.0_f32);
    for defect in Defect::ALL {
        for seed in 0..25 {
            let drawn = draw(Subject::Stranger(Stranger::Defect(defect)), (9 << 32) | seed, SIDE);
            let look = detector.look(&drawn.frame, true).unwrap();
            let heat = look.heat.unwrap();
            let rows = heat.cells.len() / heat.columns;
            let mean = heat.cells.iter().sum::<f32>() / heat.cells.len() as f32;
            // The bundled backbone rounds the pooled feature once more, so the mean is taken of the map itself.
            let map = look.activations.map.unwrap();
            let feature: Vec<f32> = map
                .chunks_exact(heat.cells.len())
                .map(|cells| cells.iter().sum::<f32>() / cells.len() as f32)
                .collect();
            let residual = shelf.squared_residual(&feature, &mut scratch).unwrap();
            furthest = furthest.max((mean - residual).abs() / residual);
            let Some(place) = drawn.defect.filter(|_| look.reading.judgement != Judgement::Pass) else { continue };
            let hottest = (0..heat.cells.len()).max_by(|a, b| heat.cells[*a].total_cmp(&heat.cells[*b])).unwrap();
            let cell = [SIDE as f32 / heat.columns as f32, SIDE as f32 / rows as f32];
            let centre = [(hottest % heat.columns) as f32 + 0.5, (hottest / heat.columns) as f32 + 0.5];
            flagged += 1;
            // Half a cell of margin: a cell that overlaps the defect by half counts as on it.
            inside += u32::from(place.contains(centre[0] * cell[0], centre[1] * cell[1], cell[0].max(cell[1]) / 2.0));
        }
    }
    println!("{flagged} of 200 defects flagged, maximum on the defect in {inside}; mean off by {furthest:.1e} at most");
    assert!(furthest <= 1e-4, "the mean of a heat map is off by {furthest}");
    assert!(flagged >= 100, "only {flagged} of 200 defects were flagged");
    assert!(inside * 10 >= flagged * 8, "the maximum lies on the defect in {inside} of {flagged}");
}
