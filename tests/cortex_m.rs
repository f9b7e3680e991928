//! The core on an emulated Cortex-M4: a shelf in flash, the features of drawn parts, and for each the score that this
//! computer computes, bit for bit, the same verdict, and the pin. Prints how much flash and RAM it takes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;
mod drawn;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use binary::argument;
use shelfwatch::detector::Detector;
use shelfwatch::parts::{Product, SIDE, Stranger, Subject, draw};
use shelfwatch_core::{Decider, DeciderOptions, Shelf};

const TARGET: &str = "thumbv7em-none-eabihf";
/// Milliseconds between two parts, as in the program.
const PITCH: u64 = 100;
/// Where the board's flash ends.
const FLASH_END: u32 = 0x0040_0000;

/// Whether a program runs and says yes.
fn answers(program: &str, arguments: &[&str], word: &str) -> bool {
    let output = Command::new(program).args(arguments).output();
    output.is_ok_and(|output| output.status.success() && String::from_utf8_lossy(&output.stdout).contains(word))
}

fn is_missing() -> Option<&'static str> {
    if !answers("rustc", &["--print", "target-libdir", "--target", TARGET], TARGET)
        || !answers("sh", &["-c", &format!("ls $(rustc --print target-libdir --target {TARGET})")], "libcore")
    {
        return Some("run `rustup target add thumbv7em-none-eabihf`");
    }
    let has_qemu = answers("qemu-system-arm", &["-machine", "help"], "mps2-an386");
    (!has_qemu).then_some("install qemu-system-arm")
}

/// A detached shelf of several scores, fitted on drawn parts.
fn fitted(folder: &Path, score: &str) -> PathBuf {
    let (images, shelf) = (folder.join("good"), folder.join("line.shelf"));
    drawn::good(&images, 40, 1);
    let more = ["--alpha-reject", "0.05", "--alpha-review", "0.1", "--detached", "--score", score];
    let answer = drawn::fit(&images, &shelf, &more);
    assert_eq!(answer.code, 0, "{}{}", answer.out, answer.err);
    shelf
}

/// One line a part: number, bits of the score, verdict, level of the pin. And the features as the program takes them.
fn expected(shelf: &Path) -> (Vec<String>, Vec<u8>) {
    let (bytes, onnx) = (fs::read(shelf).unwrap(), fs::read(drawn::backbone()).unwrap());
    let mut detector = Detector::new(Shelf::parse(&bytes).unwrap(), Some(&onnx)).unwrap();
    let mut decider = Decider::new(DeciderOptions::default()).unwrap();
    let (mut lines, mut features) = (Vec::new(), Vec::new());
    let strangers: Vec<Stranger> = Stranger::all().collect();
    for number in 0..60_u64 {
        let subject = if number % 3 == 2 {
            Subject::Stranger(strangers[number as usize / 3 % strangers.len()])
        } else {
            Subject::Product(Product::ALL[number as usize % 8])
        };
        let look = detector.look(&draw(subject, (5 << 32) | number, SIDE).frame, false).unwrap();
        let (reading, activations) = (look.reading, look.activations);
        features.extend(activations.feature.iter().chain(activations.logits).flat_map(|value| value.to_le_bytes()));
        let decision = decider.decide(Some(reading.judgement), number * PITCH);
        let (bits, verdict, pin) = (reading.score.to_bits(), decision.verdict.name(), u8::from(decision.signal));
        lines.push(format!("{number} {bits:08x} {verdict} {pin}"));
    }
    (lines, features)
}

/// Bytes of an ELF file's segments that lie in flash, and of those that take room in RAM.
fn sizes(elf: &[u8]) -> [u32; 2] {
    let number = |at: usize| u32::from_le_bytes(elf[at..at + 4].try_into().unwrap());
    let short = |at: usize| usize::from(u16::from_le_bytes(elf[at..at + 2].try_into().unwrap()));
    assert_eq!((&elf[..4], elf[4]), (&b"\x7FELF"[..], 1));
    let (start, size, count) = (number(28) as usize, short(42), short(44));
    let loads = (0..count).map(|i| start + i * size).filter(|at| number(*at) == 1);
    loads.fold([0, 0], |[flash, ram], at| {
        let [address, physical, in_file, in_memory] = [8, 12, 16, 20].map(|field| number(at + field));
        let flash = flash + if physical < FLASH_END { in_file } else { 0 };
        [flash, ram + if address >= FLASH_END { in_memory } else { 0 }]
    })
}

#[test]
fn a_microcontroller_judges_as_this_computer_does() {
    if let Some(remedy) = is_missing() {
        println!("skipped: the core on a Cortex-M; {remedy}");
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for score in ["neco", "neco-std-ml+knn+energy", "vim+mahalanobis++", "nci+fdbd+gen"] {
        let folder = tempfile::tempdir().unwrap();
        let shelf = fitted(folder.path(), score);
        let (lines, features) = expected(&shelf);
        let part = folder.path().join("features");
        fs::write(&part, &features).unwrap();
        let target = root.join("target/cortex-m");
        let build = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--locked", "--release", "--target", TARGET, "--manifest-path"])
            .arg(root.join("cross/cortex-m/Cargo.toml"))
            .args(["--target-dir", argument(&target)])
            .env("SHELFWATCH_SHELF", &shelf)
            .env("SHELFWATCH_FEATURES", &part)
            .status();
        assert!(build.unwrap().success());
        let program = target.join(TARGET).join("release/shelfwatch-cortex-m");
        let log = folder.path().join("lamps");
        let output = Command::new("timeout")
            .args(["120", "qemu-system-arm", "-M", "mps2-an386", "-cpu", "cortex-m4", "-display", "none"])
            .args(["-monitor", "none", "-serial", "none", "-semihosting-config", "enable=on,target=native"])
            .args(["-trace", "mps2_fpgaio_write", "-D", argument(&log), "-kernel", argument(&program)])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let (judged, rest): (Vec<&str>, Vec<&str>) = said.lines().partition(|line| !line.starts_with("stack "));
        assert_eq!(judged, lines, "{score}");
        assert!(judged.iter().any(|line| line.ends_with('1')) && judged.iter().any(|line| line.ends_with('0')));

        // The pin as the machine saw it.
        let log = fs::read_to_string(&log).unwrap();
        let written = log.lines().filter(|line| line.contains("offset 0x0 "));
        let levels: Vec<bool> = written.map(|line| line.contains("data 0x1")).collect();
        assert_eq!(levels, lines.iter().map(|line| line.ends_with('1')).collect::<Vec<_>>(), "{log}");

        let elf = fs::read(&program).unwrap();
        let [flash, ram] = sizes(&elf);
        let data = fs::metadata(&shelf).unwrap().len() + features.len() as u64;
        let stack: u64 = rest[0].trim_start_matches("stack ").parse().unwrap();
        println!(
            "{score}: {} bytes of flash for the program and {} for the shelf, {} bytes of RAM, {stack} of them stack",
            u64::from(flash) - data,
            fs::metadata(&shelf).unwrap().len(),
            u64::from(ram) + stack
        );
    }
}
