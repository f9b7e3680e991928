//! Keys and signatures of shelves through the command line, with OpenSSL as the other side.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;
mod drawn;
#[path = "../core/tests/maker/mod.rs"]
mod maker;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use binary::{Answer, argument, shelfwatch};
use maker::Maker;
use sha2::{Digest, Sha256};
use shelfwatch_core::layout::Sections;
use shelfwatch_core::{SectionKind, Shelf};

/// A folder with a fitted shelf and a pair of keys.
struct Office {
    folder: tempfile::TempDir,
}

impl Office {
    fn new() -> Self {
        let office = Self { folder: tempfile::tempdir().unwrap() };
        drawn::good(&office.at("good"), 30, 1);
        let fitted = drawn::fit(
            &office.at("good"),
            &office.at("line.shelf"),
            &["--alpha-reject", "0.05", "--alpha-review", "0.1"],
        );
        assert_eq!(fitted.code, 0, "{}", fitted.err);
        office.keygen("plant");
        office
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn keygen(&self, name: &str) -> Answer {
        shelfwatch(["keygen", "-o", argument(&self.at(name))])
    }

    fn sign(&self, shelf: &str, key: &str, signed: &str) -> Answer {
        let [shelf, key, signed] = [shelf, key, signed].map(|name| self.at(name));
        shelfwatch(["sign", argument(&shelf), "--key", argument(&key), "-o", argument(&signed)])
    }

    fn verify(&self, shelf: &str, key: &str) -> Answer {
        shelfwatch(["verify", argument(&self.at(shelf)), "--key", argument(&self.at(key))])
    }

    fn openssl(&self, arguments: &[&str]) -> Option<bool> {
        let run = Command::new("openssl").args(arguments).current_dir(self.folder.path()).output();
        run.ok().map(|output| output.status.success())
    }
}

fn refused(answer: &Answer, words: &str) {
    assert!(answer.code == 2 && answer.out.is_empty(), "{}", answer.out);
    assert!(answer.err.contains(words) && answer.err.contains("; "), "{}", answer.err);
}

/// What is signed, by the words of `docs/shelf-format.md`.
fn message(file: &[u8]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for (number, bytes) in Sections::parse(file).unwrap().numbered().filter(|(number, _)| *number != 19) {
        hash.update(number.to_le_bytes());
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    [b"shelfwatch shelf 1\n", &hash.finalize()[..]].concat()
}

fn signature(file: &[u8]) -> Vec<u8> {
    Sections::parse(file).unwrap().need(SectionKind::Signature).unwrap()[32..].to_vec()
}

#[test]
fn a_signed_shelf_is_taken_and_every_other_is_refused_with_its_own_words() {
    let office = Office::new();
    refused(&office.verify("line.shelf", "plant.pub"), "is not signed");
    assert_eq!(office.sign("line.shelf", "plant.key", "signed.shelf").code, 0);
    let answer = office.verify("signed.shelf", "plant.pub");
    assert!(answer.code == 0 && answer.out.contains("whole, and signed by"), "{}{}", answer.out, answer.err);

    // Nothing else in it has changed, and signing again gives the same bytes.
    let [plain, signed] = ["line.shelf", "signed.shelf"].map(|name| fs::read(office.at(name)).unwrap());
    assert_eq!(Maker::of(&plain).sections, Maker::of(&signed).without(SectionKind::Signature).sections);
    assert_eq!(office.sign("signed.shelf", "plant.key", "again.shelf").code, 0);
    assert_eq!(fs::read(office.at("again.shelf")).unwrap(), signed);

    office.keygen("other");
    refused(&office.verify("signed.shelf", "other.pub"), "a key that is not trusted here");
    let both = ["plant.pub", "other.pub"].map(|name| office.at(name));
    let both = ["--key", argument(&both[1]), "--key", argument(&both[0])];
    assert_eq!(shelfwatch([&["verify", argument(&office.at("signed.shelf"))], &both[..]].concat()).code, 0);
    assert_eq!(office.sign("signed.shelf", "other.key", "other.shelf").code, 0);
    assert_eq!(office.verify("other.shelf", "other.pub").code, 0);
    refused(&office.verify("other.shelf", "plant.pub"), "not trusted");

    let text = shelfwatch(["inspect", argument(&office.at("signed.shelf"))]).out;
    assert!(text.contains("signature    by "), "{text}");
}

#[test]
fn no_change_goes_unnoticed_though_every_checksum_is_right() {
    let office = Office::new();
    office.sign("line.shelf", "plant.key", "signed.shelf");
    let signed = fs::read(office.at("signed.shelf")).unwrap();
    let kinds: Vec<SectionKind> = Shelf::parse(&signed).unwrap().sections().map(|(kind, _)| kind).collect();
    for kind in kinds {
        let forged = with_a_bit_turned(&signed, kind);
        fs::write(office.at("forged.shelf"), &forged).unwrap();
        let answer = office.verify("forged.shelf", "plant.pub");
        // Some changes contradict the shelf itself; no other may pass.
        assert!(answer.code == 2, "{kind}: {}", answer.out);
    }
    // One that contradicts nothing: a calmer threshold would let bad parts pass.
    let forged = with_a_bit_turned(&signed, SectionKind::Backbone);
    fs::write(office.at("forged.shelf"), forged).unwrap();
    refused(&office.verify("forged.shelf", "plant.pub"), "does not belong to this content");
    // A signature that was cut out leaves an unsigned shelf.
    let unsigned = Maker::of(&signed).without(SectionKind::Signature);
    fs::write(office.at("forged.shelf"), unsigned.file()).unwrap();
    refused(&office.verify("forged.shelf", "plant.pub"), "is not signed");
    // One of 95 bytes.
    let signature = unsigned.with(SectionKind::Signature, vec![0; 95]);
    fs::write(office.at("forged.shelf"), signature.file()).unwrap();
    refused(&office.verify("forged.shelf", "plant.pub"), "malformed");
    // A section of a later version is covered, and not signed by a program that does not know it.
    let mut more = Maker::of(&signed);
    more.sections.push((400, b"new".to_vec()));
    fs::write(office.at("forged.shelf"), more.file()).unwrap();
    refused(&office.verify("forged.shelf", "plant.pub"), "does not belong to this content");
    refused(&office.sign("forged.shelf", "plant.key", "x.shelf"), "section 400 of the shelf is unknown");
}

/// Turns a bit in the middle of a section and makes all checksums right.
fn with_a_bit_turned(file: &[u8], kind: SectionKind) -> Vec<u8> {
    let mut sections = Maker::of(file);
    let bytes = sections.get_mut(kind);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    sections.file()
}

#[test]
fn openssl_reads_our_keys_and_signatures_and_we_read_its_keys() {
    let office = Office::new();
    if office.openssl(&["version"]) != Some(true) {
        println!("skipped: OpenSSL as the other side; install openssl");
        return;
    }
    office.sign("line.shelf", "plant.key", "signed.shelf");
    let signed = fs::read(office.at("signed.shelf")).unwrap();
    fs::write(office.at("message"), message(&signed)).unwrap();
    fs::write(office.at("signature"), signature(&signed)).unwrap();
    let verify =
        ["pkeyutl", "-verify", "-pubin", "-inkey", "plant.pub", "-rawin", "-in", "message", "-sigfile", "signature"];
    assert_eq!(office.openssl(&verify), Some(true), "our signature by OpenSSL");
    fs::write(office.at("message"), b"another").unwrap();
    assert_eq!(office.openssl(&verify), Some(false));
    let public = ["pkey", "-in", "plant.key", "-pubout", "-out", "same.pub"];
    assert_eq!(office.openssl(&public), Some(true), "our secret key by OpenSSL");
    assert_eq!(fs::read(office.at("same.pub")).unwrap(), fs::read(office.at("plant.pub")).unwrap());

    assert_eq!(office.openssl(&["genpkey", "-algorithm", "ed25519", "-out", "theirs.key"]), Some(true));
    assert_eq!(office.openssl(&["pkey", "-in", "theirs.key", "-pubout", "-out", "theirs.pub"]), Some(true));
    assert_eq!(office.sign("line.shelf", "theirs.key", "theirs.shelf").code, 0);
    assert_eq!(office.verify("theirs.shelf", "theirs.pub").code, 0);
    assert_eq!(office.openssl(&["genpkey", "-algorithm", "ed448", "-out", "other.key"]), Some(true));
    refused(&office.sign("line.shelf", "other.key", "x.shelf"), "is no secret Ed25519 key");
}

#[test]
fn keys_are_for_their_owner_and_never_written_over() {
    use std::os::unix::fs::PermissionsExt;
    let office = Office::new();
    let mode = |name: &str| fs::metadata(office.at(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("plant.key"), mode("plant.pub")), (0o600, 0o644));
    let before = fs::read(office.at("plant.key")).unwrap();
    refused(&office.keygen("plant"), "is there already");
    fs::remove_file(office.at("plant.pub")).unwrap();
    refused(&office.keygen("plant"), "is there already");
    assert_eq!(fs::read(office.at("plant.key")).unwrap(), before);
    refused(&office.sign("line.shelf", "line.shelf", "x.shelf"), "is larger than");
    fs::write(office.at("short"), "-----BEGIN PRIVATE KEY-----\n").unwrap();
    refused(&office.sign("line.shelf", "short", "x.shelf"), "is no secret Ed25519 key");
    refused(&office.verify("line.shelf", "short"), "is no public Ed25519 key");
    refused(&office.verify("line.shelf", "nothing"), "cannot read");
    // A point of order 1, by which anything would be signed.
    let weak = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n-----END PUBLIC KEY-----\n";
    fs::write(office.at("weak.pub"), weak).unwrap();
    refused(&office.verify("line.shelf", "weak.pub"), "is no public Ed25519 key");
    assert!(Path::new(&office.at("line.shelf")).exists());
}
