//! Damaged and dishonest shelf files: each is refused with the part and the remedy named, none brings the reader down.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod maker;
mod uses;

use maker::{CLASSES, FEATURE, Maker, complete, header, header_section, put, seal, shelf_of, various};
use proptest::prelude::{ProptestConfig, any, prop};
use proptest::{prop_assert_ne, proptest};
use shelfwatch_core::{Error, Header, ScoreKind, ScoreKind as K, SectionKind, SectionKind as S, Shelf};
use uses::use_all;

fn refusal(maker: &Maker) -> Error {
    use_all(&maker.file()).unwrap_err()
}

#[test]
fn the_shelves_of_these_tests_are_good() {
    for (name, maker) in various().into_iter().chain([("complete".to_owned(), complete())]) {
        let file = maker.file();
        use_all(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        let shelf = Shelf::parse(&file).unwrap();
        assert_eq!(shelf.sections().count(), maker.sections.len(), "{name}");
        let dims = shelf.header().dims;
        assert_eq!((dims.feature as usize, dims.classes as usize), (FEATURE, CLASSES));
        assert!(shelf.score(&[1.0; 3], &[0.0; 2], &mut [0.0; 6]).unwrap().is_finite(), "{name}");
    }
}

#[test]
fn every_flipped_bit_is_found() {
    for (name, maker) in various() {
        let file = maker.file();
        for bit in 0..8 * file.len() {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let error = use_all(&flipped).expect_err(&name);
            let named = match bit / 8 {
                0..8 => error == Error::NotAShelf,
                8..32 => error == Error::Table,
                at if at < 32 + 24 * maker.sections.len() => error == Error::Table,
                _ => matches!(error, Error::Checksum(_) | Error::Table),
            };
            assert!(named, "{name}, bit {bit}: {error}");
        }
    }
}

#[test]
fn a_file_cut_anywhere_says_how_much_is_missing() {
    for (name, maker) in various() {
        let file = maker.file();
        for len in 0..file.len() {
            let expected = match len {
                0..8 => Error::NotAShelf,
                8..32 => Error::Length { expected: 32, found: len as u64 },
                _ => Error::Length { expected: file.len() as u64, found: len as u64 },
            };
            assert_eq!(use_all(&file[..len]), Err(expected), "{name} cut to {len}");
            // The same with a length and checksums that fit: then the table no longer does.
            let mut cut = file[..len].to_vec();
            if len >= 32 {
                put(&mut cut, 16, &(len as u64).to_le_bytes());
                seal(&mut cut);
                assert_eq!(use_all(&cut), Err(Error::Table), "{name} cut to {len} and sealed");
            }
        }
        let longer = [file.clone(), vec![0]].concat();
        assert_eq!(use_all(&longer), Err(Error::Length { expected: file.len() as u64, found: file.len() as u64 + 1 }));
    }
}

#[test]
fn every_section_cut_or_lengthened_with_good_checksums_is_named() {
    for (name, maker) in various() {
        for (number, bytes) in &maker.sections {
            let kind = SectionKind::from_number(*number).unwrap();
            let lengthened = [bytes.clone(), vec![0; 4]].concat();
            let cuts = (0..bytes.len()).map(|len| bytes[..len].to_vec()).chain([lengthened]);
            for cut in cuts {
                let len = cut.len();
                let found = use_all(&maker.clone().replaced(kind, cut).file());
                // The golden images may be none or fewer, and a calibration that ends early contradicts its count.
                let whole = kind == SectionKind::Golden && Shelf::parse(&maker.file()).is_ok() && found.is_ok();
                let stops = kind == SectionKind::Golden && (len == 0 || len == 12);
                assert_eq!(whole, stops, "{name}: {kind} of {len} bytes");
                assert!(whole || found == Err(Error::Malformed(kind)), "{name}: {kind} of {len} bytes: {found:?}");
            }
        }
    }
}

#[test]
fn a_section_that_is_missing_or_doubled_is_named() {
    for (name, maker) in various() {
        for (number, bytes) in &maker.sections {
            let kind = S::from_number(*number).unwrap();
            assert_eq!(refusal(&maker.clone().with(kind, bytes.clone())), Error::Section(kind), "{name}");
            let may_be_absent = matches!(kind, S::Backbone | S::Golden)
                || (kind == S::Basis && maker.sections.iter().any(|(n, _)| *n == S::StandardBasis as u16));
            match use_all(&maker.clone().without(kind).file()) {
                Ok(()) => assert!(may_be_absent, "{name} without {kind}"),
                Err(error) => assert!(matches!(error, Error::Section(_)), "{name} without {kind}: {error}"),
            }
        }
    }
    let doubled = complete().with(S::Signature, vec![1]);
    assert_eq!(refusal(&doubled), Error::Section(S::Signature));
}

#[test]
fn sections_of_a_later_version_are_passed_over() {
    let mut maker = complete();
    maker.sections.push((999, vec![1, 2, 3]));
    let file = maker.file();
    use_all(&file).unwrap();
    assert_eq!(Shelf::parse(&file).unwrap().sections().count(), maker.sections.len() - 1);
}

#[test]
fn absurd_matrices_are_refused() {
    for (name, maker) in various() {
        for (number, bytes) in &maker.sections {
            let kind = SectionKind::from_number(*number).unwrap();
            let is_matrix = bytes.len() >= 16 && [1, 2, 3].contains(&bytes[0]) && bytes[1..4] == [0; 3];
            if !is_matrix || matches!(kind, SectionKind::Header | SectionKind::Golden) {
                continue;
            }
            for rows in [0, 1, 2, 3, 0x2000_0000, u32::MAX - 1, u32::MAX] {
                for columns in [0, 1, 2, 3, 4, 0x4000_0000, 0x8000_0000, u32::MAX] {
                    let mut altered = bytes.clone();
                    put(&mut altered, 0, &rows.to_le_bytes());
                    put(&mut altered, 4, &columns.to_le_bytes());
                    if altered != *bytes {
                        let error = refusal(&maker.clone().replaced(kind, altered));
                        assert_eq!(error, Error::Malformed(kind), "{name}: {rows} × {columns}");
                    }
                }
            }
            for (at, value) in [(8, 3), (8, 255), (9, 1), (10, 1), (11, 128)] {
                let mut altered = bytes.clone();
                altered[at] = value;
                assert_eq!(refusal(&maker.clone().replaced(kind, altered)), Error::Malformed(kind), "{name}");
            }
            for scale in [f32::NAN, f32::INFINITY] {
                let mut altered = bytes.clone();
                put(&mut altered, 12, &scale.to_le_bytes());
                assert_eq!(refusal(&maker.clone().replaced(kind, altered)), Error::Malformed(kind), "{name}");
            }
        }
    }
}

#[test]
fn numbers_that_are_not_finite_are_refused_where_they_stand() {
    for (number, bytes) in &complete().sections {
        let kind = SectionKind::from_number(*number).unwrap();
        if matches!(kind, SectionKind::Header | SectionKind::Backbone | SectionKind::Signature) {
            continue;
        }
        // The last value of a row of f32, the score of the last pair, the score of the first golden image.
        let at = match kind {
            SectionKind::Calibration => bytes.len() - 8,
            SectionKind::Golden => 4,
            // Rows of bytes: the scale of the first row.
            _ if bytes.get(8) == Some(&2) && bytes.len() != 12 => 12,
            _ => bytes.len() - 4,
        };
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut altered = bytes.clone();
            put(&mut altered, at, &value.to_le_bytes());
            let error = refusal(&complete().replaced(kind, altered));
            assert_eq!(error, Error::Malformed(kind), "{kind} {value}");
        }
    }
}

#[test]
fn tables_that_overlap_overflow_or_lie_are_refused() {
    let file = complete().file();
    let count = complete().sections.len();
    let absurd =
        [0, 1, 15, 16, 31, 33, file.len() as u64, file.len() as u64 + 1, 1 << 32, 1 << 63, u64::MAX - 15, u64::MAX];
    for entry in (0..count).map(|i| 32 + 24 * i) {
        for field in [8, 16] {
            for value in absurd {
                let mut altered = file.clone();
                put(&mut altered, entry + field, &value.to_le_bytes());
                if altered != file {
                    seal(&mut altered);
                    // A length that ends in the zeros behind a section keeps the table whole; the section then is not.
                    let found = use_all(&altered);
                    let grown = field == 16 && matches!(found, Err(Error::Malformed(_)));
                    assert!(grown || found == Err(Error::Table), "entry at {entry}, field {field}: {value}: {found:?}");
                }
            }
        }
    }
    for sections in [0_u16, 1, count as u16 - 1, count as u16 + 1, 32, 33, 1000, u16::MAX] {
        let mut altered = file.clone();
        put(&mut altered, 10, &sections.to_le_bytes());
        seal(&mut altered);
        assert_eq!(use_all(&altered), Err(Error::Table), "{sections} sections");
    }
    for length in [0, 31, file.len() as u64 - 1, file.len() as u64 + 1, u64::MAX] {
        let mut altered = file.clone();
        put(&mut altered, 16, &length.to_le_bytes());
        seal(&mut altered);
        assert_eq!(use_all(&altered), Err(Error::Length { expected: length, found: file.len() as u64 }));
    }
    for (at, what) in [(12, "reserved bytes of the preamble"), (34, "reserved bytes of an entry")] {
        let mut altered = file.clone();
        altered[at] = 1;
        seal(&mut altered);
        assert_eq!(use_all(&altered), Err(Error::Table), "{what}");
    }
    let mut padding = shelf_of(&[ScoreKind::Neco]).file();
    let table_end = 32 + 24 * 6;
    let gap = (table_end..padding.len()).find(|at| at % 16 != 0 && padding[*at] == 0);
    let first_end = {
        let offset = u64::from_le_bytes(padding[40..48].try_into().unwrap());
        (offset + u64::from_le_bytes(padding[48..56].try_into().unwrap())) as usize
    };
    assert!(gap.is_some() && first_end % 16 != 0, "the header ends inside a block of 16 bytes");
    padding[first_end] = 1;
    seal(&mut padding);
    assert_eq!(use_all(&padding), Err(Error::Table), "bytes between sections");
}

#[test]
fn other_files_and_versions_are_told_apart() {
    assert_eq!(use_all(b""), Err(Error::NotAShelf));
    assert_eq!(use_all(b"\x89PNG\r\n\x1a\n and so on"), Err(Error::NotAShelf));
    // A transfer in text mode.
    assert_eq!(
        use_all(&complete().file().iter().copied().filter(|b| *b != b'\r').collect::<Vec<_>>()),
        Err(Error::NotAShelf)
    );
    assert_eq!(use_all(b"\x89SHELF\r\n"), Err(Error::Length { expected: 32, found: 8 }));
    for version in [0_u16, 2, 3, u16::MAX] {
        let mut file = complete().file();
        put(&mut file, 8, &version.to_le_bytes());
        seal(&mut file);
        assert_eq!(use_all(&file), Err(Error::Version { found: version, known: 1 }));
    }
}

type Alter = fn(&mut Header<'static>);

#[test]
fn headers_out_of_range_are_refused() {
    let good = header(&[ScoreKind::Neco]);
    let bad: [(&str, Alter); 24] = [
        ("no score", |h| h.terms.clear()),
        ("a weight of 0", |h| h.terms[0].weight = 0.0),
        ("a weight of NaN", |h| h.terms[0].weight = f32::NAN),
        ("an offset of infinity", |h| h.terms[0].offset = f32::INFINITY),
        ("D = 0", |h| h.dims.feature = 0),
        ("d > D", |h| h.dims.components = 4),
        ("a map without cells", |h| h.dims.map = Some([0, 2])),
        ("a map without columns", |h| h.dims.map = Some([2, 0])),
        ("a map of 2⁶⁴ cells", |h| h.dims.map = Some([u32::MAX; 2])),
        ("a map of 2³² cells", |h| h.dims.map = Some([1 << 16; 2])),
        ("a map of a million rows and two columns", |h| h.dims.map = Some([1 << 20, 2])),
        ("γ of NaN", |h| h.constants.gen_gamma = f32::NAN),
        ("α of ViM of infinity", |h| h.constants.vim_alpha = f32::INFINITY),
        ("α of NCI of NaN", |h| h.constants.nci_alpha = f32::NAN),
        ("reject above review", |h| h.reject.threshold = 0.75),
        ("a threshold of NaN", |h| h.review.threshold = f32::NAN),
        ("α above one", |h| h.reject.alpha = 1.5),
        ("α of NaN", |h| h.review.alpha = f64::NAN),
        ("δ below zero", |h| h.review.delta = -0.1),
        ("a bound of NaN", |h| h.reject.bound = f64::NAN),
        ("k of 0", |h| h.reject.k = 0),
        ("k beyond n", |h| h.review.k = 5),
        ("a heat scale of 0", |h| h.heat_scale = 0.0),
        ("a heat scale of NaN", |h| h.heat_scale = f32::NAN),
    ];
    for (what, alter) in bad {
        let mut altered = good.clone();
        alter(&mut altered);
        let maker = shelf_of(&[ScoreKind::Neco]).replaced(SectionKind::Header, header_section(&altered));
        assert_eq!(refusal(&maker), Error::Malformed(SectionKind::Header), "{what}");
    }
    let with = |kinds: &[ScoreKind], alter: Alter| {
        let mut altered = header(kinds);
        alter(&mut altered);
        refusal(&shelf_of(kinds).replaced(SectionKind::Header, header_section(&altered)))
    };
    assert_eq!(with(&[K::Vim], |h| h.dims.classes = 0), Error::Malformed(S::Header));
    assert_eq!(with(&[K::Gen], |h| h.constants.gen_top = 0), Error::Malformed(S::Header));
    assert_eq!(with(&[K::Gen], |h| h.constants.gen_top = 129), Error::Malformed(S::Header));
    assert_eq!(with(&[K::Neco], |h| h.dims.components = 0), Error::Malformed(S::Basis));
    assert_eq!(with(&[K::Neco], |h| h.dims.feature = 4), Error::Malformed(S::Centre));
    assert_eq!(with(&[K::Neco], |h| h.dims.feature = u32::MAX), Error::Malformed(S::Centre));
    assert_eq!(with(&[K::Nci], |h| h.dims.classes = 3), Error::Malformed(S::Head));
    assert_eq!(with(&[K::Fdbd], |h| h.dims.classes = u32::MAX), Error::Malformed(S::BoundaryNorms));
    assert_eq!(with(&[K::Neco], |h| h.backbone.length = u64::MAX), Error::Malformed(S::Backbone));
    assert_eq!(with(&[K::Neco], |h| h.evidence.calibration_images = u64::MAX), Error::Malformed(S::Calibration));
}

#[test]
fn calibration_scores_that_do_not_rise_are_refused() {
    let pairs: [&[(f32, u32)]; 7] = [
        &[],
        &[(0.5, 4), (0.25, 4)],
        &[(0.5, 3), (0.5, 4)],
        &[(0.25, 3), (0.5, 3), (0.75, 4)],
        &[(0.25, 0), (0.5, 4)],
        &[(0.25, 2), (0.5, 3)],
        &[(0.25, 2), (0.5, u32::MAX)],
    ];
    for pairs in pairs {
        let maker = complete().replaced(SectionKind::Calibration, maker::calibration(pairs));
        assert_eq!(refusal(&maker), Error::Malformed(SectionKind::Calibration), "{pairs:?}");
    }
}

#[test]
fn messages_name_the_part_and_the_remedy() {
    let kinds = SectionKind::ALL;
    let of_sections = kinds.iter().flat_map(|kind| {
        [Error::Checksum(*kind), Error::Section(*kind), Error::Malformed(*kind)]
            .map(|error| (error, format!("section `{kind}` of the shelf")))
    });
    let others = [
        (Error::NotAShelf, "not a shelf file"),
        (Error::Table, "the section table of the shelf"),
        (Error::Version { found: 2, known: 1 }, "shelf format 2"),
        (
            Error::Length { expected: 4096, found: 4093 },
            "shelf file is 3 bytes short (need 4096, have 4093); copy it again",
        ),
        (Error::Length { expected: 1, found: 3 }, "shelf file has 2 bytes too many"),
    ];
    for (error, part) in of_sections.chain(others.map(|(error, part)| (error, part.to_owned()))) {
        let message = error.to_string();
        assert!(message.starts_with(&part), "{message}");
        let remedy = message.split_once("; ").map(|(_, remedy)| remedy).unwrap_or_default();
        assert!(["copy", "fit", "update", "make"].iter().any(|verb| remedy.starts_with(verb)), "{message}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_bytes_behind_a_good_preamble_bring_nothing_down(
        tail in prop::collection::vec(any::<u8>(), 0..400),
        count in 0_u16..6,
    ) {
        let mut file = [b"\x89SHELF\r\n\x01\0".to_vec(), vec![0; 22], tail].concat();
        let length = file.len() as u64;
        put(&mut file, 10, &count.to_le_bytes());
        put(&mut file, 16, &length.to_le_bytes());
        seal(&mut file);
        let _ = use_all(&file);
        let _ = use_all(&file[32..]);
    }

    #[test]
    fn sections_altered_anywhere_with_good_checksums_bring_nothing_down(
        which in any::<prop::sample::Index>(),
        section in any::<prop::sample::Index>(),
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        resize in prop::option::weighted(0.2, 0_usize..200),
    ) {
        let mut shelves = various();
        let (_, mut maker) = shelves.swap_remove(which.index(shelves.len()));
        let at = section.index(maker.sections.len());
        let (_, bytes) = &mut maker.sections[at];
        if let Some(len) = resize {
            bytes.resize(len, 0);
        }
        if !bytes.is_empty() {
            for (place, value) in places {
                let at = place.index(bytes.len());
                bytes[at] = value;
            }
        }
        prop_assert_ne!(use_all(&maker.file()), Err(Error::NotAShelf));
    }
}
