//! The program's writer and the format's description agree byte by byte: the core's tests make their shelves from the
//! description alone, and the same sections through the public writer give the same file.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../core/tests/maker/mod.rs"]
mod maker;

use maker::{complete, various};
use shelfwatch::shelf::{Precision, Sections, calibration_section, golden_section, matrix_section, vector_section};
use shelfwatch_core::{Encoding, Matrix, SectionKind, Shelf};

#[test]
fn the_writer_makes_the_files_that_the_description_calls_for() {
    for (name, maker) in various().into_iter().chain([("complete".to_owned(), complete())]) {
        let mut sections = Sections::default();
        // The order of adding does not matter.
        for (number, bytes) in maker.sections.iter().rev() {
            sections.push(SectionKind::from_number(*number).unwrap(), bytes.clone());
        }
        let file = sections.assemble();
        assert!(file == maker.file(), "{name}");
        assert!(Shelf::parse(&file).is_ok(), "{name}");
    }
}

#[test]
fn each_kind_of_section_is_written_as_described() {
    assert_eq!(vector_section([1.0, -2.5]), maker::vector(&[1.0, -2.5]));
    let rows = [[1.0, 0.0, -3.5], [0.25, 2.0, 8.0]];
    let described = maker::matrix(&[&rows[0].map(|x| x as f32), &rows[1].map(|x| x as f32)]);
    assert_eq!(matrix_section(&rows.concat(), 3, Precision::F32), described);
    let bytes = [[127_i8, 0, -63], [-127, 1, 2]];
    let halves: Vec<f64> = bytes.concat().iter().map(|value| f64::from(*value) * 0.5).collect();
    let described = maker::byte_matrix(&[&bytes[0], &bytes[1]], 0.5);
    assert_eq!(matrix_section(&halves, 3, Precision::I8), described);
    assert_eq!(calibration_section(&[0.25, 0.5, 0.5, 0.75]), maker::calibration(&[(0.25, 1), (0.5, 3), (0.75, 4)]));
    let images = [(&b"one"[..], 0.5), (&b""[..], 0.75), (&b"four"[..], -1.0)];
    assert_eq!(golden_section(images), maker::golden(&images));
}

#[test]
fn a_row_beyond_half_precision_is_kept_in_full() {
    let section = matrix_section(&[1.0, 2.0, 70_000.0, 1.0], 2, Precision::F16);
    let matrix = Matrix::parse(&section).unwrap();
    let rows: Vec<_> = matrix.iter().map(|row| (row.encoding(), row.at(0))).collect();
    assert_eq!(rows, [(Encoding::F16, 1.0), (Encoding::F32, 70_000.0)]);
}
