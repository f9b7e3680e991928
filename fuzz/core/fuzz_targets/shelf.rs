//! Arbitrary bytes as a shelf file.
#![no_main]

#[path = "../../../core/tests/uses/mod.rs"]
mod uses;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = uses::use_all(bytes);
});
