//! Checks of the broker and of the files that the connection needs.

use std::fs::{self, File};
use std::io::{self, Read};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::config::{Config, Mqtt};

use super::Probes;
use super::finding::Finding;

const LONGEST: Duration = Duration::from_secs(5);

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
    let port = mqtt.port.unwrap_or(if mqtt.ca_file.is_some() { 8883 } else { 1883 });
    let answer = match probes.broker {
        Some(log_in) => log_in(config, mqtt),
        None => {
            answers(&mqtt.host, port).map(|()| format!("{} answers at port {port} (no login was tried)", mqtt.host))
        }
    };
    match answer {
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

fn answers(host: &str, port: u16) -> Result<(), String> {
    let addresses = (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("{host} has no address ({error}); check the name and the name server"))?;
    let mut last = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, LONGEST) {
            Ok(_) => return Ok(()),
            Err(error) => last = Some(error),
        }
    }
    let reason = last.map_or_else(|| "no address".to_owned(), |error| error.to_string());
    Err(format!("{host} does not answer at port {port} ({reason}); start the broker, or check port and firewall"))
}
