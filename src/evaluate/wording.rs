//! How numbers and names are written in reports.
//! A name can come from anywhere: what would act on a terminal or reorder text is written as an escape.

use std::fmt::Write as _;

use crate::evaluate::evaluation::Rate;

/// A share as a percentage with at most two decimals; never rounds to 0 % or 100 % what is neither.
pub(super) fn percent(share: f64) -> String {
    let x = share * 100.0;
    if x <= 0.0 {
        return "0 %".to_owned();
    }
    if x < 0.01 {
        return "< 0.01 %".to_owned();
    }
    if x >= 100.0 {
        return "100 %".to_owned();
    }
    let digits = if x < 9.995 { 2 } else { 1 };
    let top = if x > 99.0 { 99.9 } else { 100.0 };
    let text = format!("{:.digits$}", x.min(top));
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} %")
}

/// `3 of 411 (0.73 %)`.
pub(super) fn counted(rate: &Rate) -> String {
    match rate.rate {
        Some(share) => format!("{} of {} ({})", rate.count, rate.of, percent(share)),
        None => "no images".to_owned(),
    }
}

/// `0.15–2.1 %`: both bounds of a rate.
pub(super) fn bounds(rate: &Rate) -> String {
    format!("{} – {}", percent(rate.lower), percent(rate.upper))
}

/// A score, threshold or other real number, in at most six significant digits.
pub(super) fn number(x: f64) -> String {
    if x == 0.0 {
        return "0".to_owned();
    }
    let size = x.abs();
    if !(1e-4..1e6).contains(&size) {
        return format!("{x:.3e}");
    }
    let digits = (4 - size.log10().floor() as i32).clamp(0, 8) as usize;
    let text = format!("{x:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// `1 image`, `2 images`.
pub(super) fn plural(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// A name with control and direction characters written as `\u{…}`.
pub(super) fn shown(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_control() || is_direction(c) {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\u{{{:x}}}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

const fn is_direction(c: char) -> bool {
    matches!(
        c,
        '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
    )
}

/// The end of a long name, at most `width` characters with the ellipsis.
pub(super) fn tail(name: &str, width: usize) -> String {
    let count = name.chars().count();
    if count <= width {
        return name.to_owned();
    }
    let kept: String = name.chars().skip(count - width.saturating_sub(1)).collect();
    format!("…{kept}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_never_round_to_certainty() {
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(0.000_01), "< 0.01 %");
        assert_eq!(percent(0.001), "0.1 %");
        assert_eq!(percent(0.0345), "3.45 %");
        assert_eq!(percent(0.1), "10 %");
        assert_eq!(percent(0.999_99), "99.9 %");
        assert_eq!(percent(1.0), "100 %");
    }

    #[test]
    fn numbers_keep_five_digits() {
        assert_eq!(number(0.931_234_5), "0.93123");
        assert_eq!(number(-12.5), "-12.5");
        assert_eq!(number(1234.567), "1234.6");
        assert_eq!(number(1e-9), "1.000e-9");
    }

    #[test]
    fn control_and_direction_characters_are_spelled_out() {
        assert_eq!(shown("a\x1b[31m\u{202e}b\n"), "a\\u{1b}[31m\\u{202e}b\\u{a}");
        assert_eq!(shown("Größe 5.png"), "Größe 5.png");
    }

    #[test]
    fn long_names_keep_their_end() {
        assert_eq!(tail("abcdef", 4), "…def");
        assert_eq!(tail("abc", 4), "abc");
    }
}
