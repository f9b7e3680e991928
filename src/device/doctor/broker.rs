//! Checks of the broker and of the files that the connection needs.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::config::{Config, Mqtt};

use super::Probes;
use super::finding::Finding;

/// Rights of all users to read a file.
const READABLE_BY_ALL: u32 = 0o004;

pub(super) fn broker(config: &Config, mqtt: &Mqtt, probes: &Probes<'_>) -> Finding {
    let check = "broker";
    for file in [&mqtt.password_file, &mqtt.ca_file, &mqtt.client_cert, &mqtt.client_key].into_iter().flatten() {
        if let Err(error) = is_read(file) {
            let words = format!("{} cannot be read ({error}); give the group shelfwatch the right to", file.display());
            return Finding::failed(check, &words);
        }
    }
    let Some(log_in) = probes.broker else { return Finding::unplugged(check.to_owned()) };
    match log_in(config, mqtt) {
        Err(words) => Finding::failed(check, &words),
        Ok(text) => match [&mqtt.password_file, &mqtt.client_key].into_iter().flatten().find(|file| is_open(file)) {
            Some(file) => {
                let words = format!("{text}, but all users may read {}; chmod o= it", file.display());
                Finding::warning(check, &words)
            }
            None => Finding::ok(check, text),
        },
    }
}

fn is_read(file: &Path) -> io::Result<()> {
    File::open(file)?.read_exact(&mut [0])
}

fn is_open(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|facts| facts.permissions().mode() & READABLE_BY_ALL != 0)
}
