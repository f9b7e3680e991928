//! Puts whatever parses as a shelf to every use there is. Nothing may panic; a score is a finite number or an error.

use shelfwatch_core::{Error, ScoreKind, Shelf};

/// Longer vectors than this tell nothing new and cost time.
const MOST: usize = 4096;

pub(crate) fn use_all(bytes: &[u8]) -> Result<(), Error> {
    let shelf = Shelf::parse(bytes)?;
    let dims = shelf.header().dims;
    let (d, c) = (dims.feature as usize, (dims.classes as usize).min(MOST));
    let files: usize = shelf.golden().iter().map(|image| image.file.len()).sum();
    let sections: usize = shelf.sections().map(|(_, bytes)| bytes.len()).sum();
    assert!(files <= bytes.len() && sections <= bytes.len());
    assert!(d <= bytes.len(), "the centre alone has four bytes a value");
    assert_eq!(shelf.calibration().iter().count(), shelf.calibration().len());
    assert!(shelf.backbone().is_none_or(|onnx| onnx.len() as u64 == shelf.header().backbone.length));
    let _ = shelf.header().classes().count();
    for score in [f32::NAN, f32::NEG_INFINITY, -1.0, 0.0, 0.5, f32::INFINITY] {
        let p = shelf.p_value(score);
        assert!(p > 0.0 && p <= 1.0, "a p-value of {p}");
        let _ = shelf.judge(score);
    }
    let mut scratch = vec![f32::NAN; shelf.scratch_len()];
    let logits: Vec<f32> = (0..c).map(|class| class as f32 - 1.5).collect();
    let cells = dims.map.map_or(1, |[rows, columns]| rows as usize * columns as usize).min(MOST / d.min(MOST));
    let mut heat = vec![f32::NAN; cells.max(1)];
    for feature in [vec![1.5; d], vec![0.0; d], vec![1e18; d], vec![f32::NAN; d]] {
        let scores = ScoreKind::ALL.map(|kind| shelf.single(kind, &feature, &logits, &mut scratch));
        let sum = shelf.score(&feature, &logits, &mut scratch);
        assert!(scores.iter().chain([&sum]).all(|score| score.is_err() || score.is_ok_and(f32::is_finite)));
        let _ = shelf.squared_residual(&feature, &mut scratch);
        let map = vec![0.5; d * heat.len()];
        let drawn = shelf.heat_map(&map, &mut scratch, &mut heat);
        assert!(drawn.is_err() || heat.iter().all(|value| value.is_finite()));
    }
    Ok(())
}
