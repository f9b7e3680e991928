//! What this device's processor has, by the names of `/proc/cpuinfo`.

use std::env::consts::ARCH;
use std::fs;

use shelfwatch_core::Shelf;

/// Refuses a shelf that was made for other processors.
///
/// # Errors
/// What is lacking, in words.
pub(super) fn suits(shelf: &Shelf<'_>) -> Result<(), String> {
    let lacks = lacking(shelf.needs(), &fs::read_to_string("/proc/cpuinfo").unwrap_or_default());
    if lacks.is_empty() {
        return Ok(());
    }
    Err(format!(
        "the shelf needs a processor with {}, which this one ({ARCH}) has not; fit a shelf for this device",
        lacks.join(", ")
    ))
}

fn lacking<'n>(needs: impl Iterator<Item = &'n str>, cpuinfo: &str) -> Vec<&'n str> {
    // `flags` on x86, `Features` on ARM.
    let lists = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    let lists = lists.filter(|(name, _)| matches!(name.trim(), "flags" | "Features"));
    let features: Vec<&str> = lists.flat_map(|(_, list)| list.split_whitespace()).collect();
    needs.filter(|need| *need != ARCH && !features.contains(need)).collect()
}

#[cfg(test)]
mod tests {
    use std::env::consts::ARCH;

    use super::lacking;

    #[test]
    fn features_are_found_under_both_names() {
        let pi = "processor\t: 0\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU part\t: 0xd08\n";
        let pc = "processor\t: 0\nflags\t\t: fpu vme avx2 avx512_vnni\nbugs\t\t: asimddp\n";
        assert_eq!(lacking(["asimd", "crc32", ARCH].into_iter(), pi), Vec::<&str>::new());
        assert_eq!(lacking(["asimddp", "asimd", "pdp11"].into_iter(), pi), ["asimddp", "pdp11"]);
        assert_eq!(lacking(["avx2", "asimddp"].into_iter(), pc), ["asimddp"]);
        assert_eq!(lacking(["avx2"].into_iter(), ""), ["avx2"]);
    }
}
