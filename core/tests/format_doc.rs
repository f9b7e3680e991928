//! Keeps `docs/shelf-format.md` true: its tables name the constants of the program, and its example is a shelf.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod maker;

use std::fmt::Write;
use std::path::Path;

use maker::{calibration, golden, header, matrix, vector};
use shelfwatch_core::layout::{ALIGN, ENTRY, MAGIC, MAX_SECTIONS, PREAMBLE, VERSION};
use shelfwatch_core::{Encoding, MAX_NEIGHBOURS, MAX_TERMS, ScoreKind, SectionKind, Shelf};

fn document() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/shelf-format.md")).unwrap()
}

/// The cells of the lines below a table's head.
fn table(document: &str, head: &str) -> Vec<Vec<String>> {
    let start = document.lines().skip_while(|line| !line.starts_with(head)).skip(2);
    let rows = start.take_while(|line| line.starts_with('|'));
    rows.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[test]
fn the_tables_name_sections_encodings_and_scores() {
    let document = document();
    let sections = table(&document, "| number | name |");
    let found: Vec<_> = sections.iter().map(|row| (row[0].parse::<u16>().unwrap(), row[1].as_str())).collect();
    let expected: Vec<_> = SectionKind::ALL.iter().map(|kind| (*kind as u16, kind.name())).collect();
    assert_eq!(found, expected);
    let encodings = table(&document, "| encoding | name |");
    let known = [Encoding::F32, Encoding::F16, Encoding::I8];
    assert_eq!(encodings.len(), known.len());
    for (row, encoding) in encodings.iter().zip(known) {
        assert_eq!((row[0].parse(), row[1].as_str()), (Ok(encoding as u8), encoding.name()));
        assert_eq!(row[2].parse(), Ok(encoding.row_bytes(8) / 8));
    }
    let cells = table(&document, "| kind | score | kind |").concat();
    let scores: Vec<_> =
        cells.as_chunks::<2>().0.iter().map(|[number, name]| (number.parse().unwrap(), name)).collect();
    assert_eq!(scores.len(), ScoreKind::ALL.len());
    for (number, name) in scores {
        let kind: ScoreKind = postcard::from_bytes(&[number]).unwrap();
        assert_eq!(kind.name(), name);
    }
}

#[test]
fn the_text_names_the_constants() {
    let document = document();
    let magic = MAGIC.map(|byte| format!("{byte:02x}")).join(" ");
    for said in [
        format!("# The shelf file, format version {VERSION}"),
        format!("| 0 | 8 | magic: `{magic}`"),
        format!("| 8 | 2 | format version: {VERSION} |"),
        format!("number of sections, at most {MAX_SECTIONS} |"),
        format!("### Preamble, {PREAMBLE} bytes"),
        format!("### Entry of the section table, {ENTRY} bytes"),
        format!("| {PREAMBLE} … {PREAMBLE} + {ENTRY}·n | section table"),
        format!("each at the next multiple of {ALIGN},"),
        format!("| terms | varint count, 1 to {MAX_TERMS} |"),
        format!("k of KNN, at most {MAX_NEIGHBOURS} "),
    ] {
        assert!(document.contains(&said), "the document does not say: {said}");
    }
}

/// The file of the example.
fn example() -> Vec<u8> {
    let mut facts = header(&[ScoreKind::Neco]);
    facts.backbone.length = 3;
    maker::Maker::new(&facts)
        .with(SectionKind::Centre, vector(&[1.0, 2.0, 3.0]))
        .with(SectionKind::Basis, matrix(&[&[1.0, 0.0, 0.0]]))
        .with(SectionKind::Calibration, calibration(&[(0.25, 1), (0.5, 3), (0.75, 4)]))
        .with(SectionKind::Backbone, b"...".to_vec())
        .with(SectionKind::Golden, golden(&[(b"image", 0.5)]))
        .file()
}

/// Sixteen bytes a line, an empty line and a name before each part.
fn hexdump(file: &[u8]) -> String {
    let shelf = Shelf::parse(file).unwrap();
    let mut parts = vec![(0, "preamble".to_owned()), (PREAMBLE, "section table".to_owned())];
    let base = file.as_ptr() as usize;
    parts.extend(shelf.sections().map(|(kind, bytes)| (bytes.as_ptr() as usize - base, kind.to_string())));
    let mut dump = String::new();
    for (i, line) in file.chunks(16).enumerate() {
        if let Some((_, name)) = parts.iter().find(|(at, _)| *at == 16 * i) {
            write!(dump, "\n{name}\n").unwrap();
        }
        let text: String = line.iter().map(|b| if b.is_ascii_graphic() { char::from(*b) } else { '.' }).collect();
        let hex = line.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
        writeln!(dump, "{:04x}  {hex:<47}  {text}", 16 * i).unwrap();
    }
    dump.trim_start().to_owned()
}

#[test]
fn the_example_is_the_file_it_says() {
    let document = document();
    let (_, rest) = document.split_once("```hexdump\n").unwrap();
    let (said, _) = rest.split_once("```").unwrap();
    let dump = hexdump(&example());
    assert!(said == dump, "the example should read:\n{dump}");
}
