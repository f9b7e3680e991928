//! A shelf file whose checksums are made right before it is read, so that what lies behind them is reached. The
//! mutator alters bytes of a section, its length or its place in the table, and seals the file again.
#![no_main]

#[path = "../../../core/tests/maker/mod.rs"]
mod maker;
#[path = "../../../core/tests/uses/mod.rs"]
mod uses;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use maker::Maker;
use shelfwatch_core::layout::Sections;

fuzz_target!(|bytes: &[u8]| {
    let mut file = bytes.to_vec();
    maker::seal(&mut file);
    let _ = uses::use_all(&file);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut file = data[..size].to_vec();
    maker::seal(&mut file);
    let sections: Vec<(u16, Vec<u8>)> = match Sections::parse(&file) {
        // Seven times in eight a section, else the bytes as they lie.
        Ok(sections) if seed % 8 != 0 => sections.iter().map(|(kind, bytes)| (kind as u16, bytes.to_vec())).collect(),
        _ => Vec::new(),
    };
    let mut maker = Maker { sections };
    if maker.sections.is_empty() {
        let size = fuzzer_mutate(data, size, max_size);
        maker::seal(&mut data[..size]);
        return size;
    }
    let chosen = seed as usize / 8 % maker.sections.len();
    match seed / 1024 % 16 {
        0 => drop(maker.sections.remove(chosen)),
        1 => maker.sections[chosen].0 = (seed / 65536 % 21) as u16,
        2 => {
            let other = maker::various().swap_remove(seed as usize / 65536 % 12).1;
            let donor = &other.sections[seed as usize / 4096 % other.sections.len()];
            maker.sections[chosen] = donor.clone();
        }
        3 => {
            let all = maker::complete().sections;
            maker.sections.push(all[seed as usize / 65536 % all.len()].clone());
        }
        _ => {
            let bytes = &mut maker.sections[chosen].1;
            let length = bytes.len();
            bytes.resize(length + 64, 0);
            let length = fuzzer_mutate(bytes, length, length + 64);
            bytes.truncate(length);
        }
    }
    maker.sections.truncate(32);
    let file = maker.file();
    let size = file.len().min(max_size);
    data[..size].copy_from_slice(&file[..size]);
    size
});
