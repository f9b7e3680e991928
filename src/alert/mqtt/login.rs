//! How the broker is reached: address, user, password, certificates. The files are read anew for every connection, so
//! that a renewed certificate or password needs no restart.

use std::fs;
use std::net::Ipv6Addr;
use std::path::Path;
use std::sync::Arc;

use rumqttc::tokio_rustls::rustls::client::ClientConfig;
use rumqttc::tokio_rustls::rustls::crypto::ring;
use rumqttc::tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use rumqttc::tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rumqttc::tokio_rustls::rustls::{Error as TlsError, RootCertStore};
use rumqttc::{Broker, LastWill, MqttOptions, QoS, TlsConfiguration, Transport, default_socket_connect};

use super::error::MqttError;
use super::topic::Topics;
use crate::config::Mqtt;

/// A silent broker is noticed after at most twice this many seconds.
pub(super) const KEEP_ALIVE: u16 = 15;
/// Largest message that is read: commands need no more, and a larger one must not fill the memory.
const MOST_INCOMING: usize = 256 * 1024;
/// The protocol's own limit: an event must never be too large for ourselves.
const MOST_OUTGOING: usize = 268_435_455;

/// The way to the broker.
#[derive(Debug)]
pub(super) struct Login {
    config: Mqtt,
    client_id: String,
    availability: String,
}

impl Login {
    /// Checks the settings, and the files as they are now.
    pub(super) fn new(config: &Mqtt, topics: &Topics) -> Result<Self, MqttError> {
        let login = Self { config: config.clone(), client_id: topics.client_id(), availability: topics.availability() };
        login.options(1)?;
        Ok(login)
    }

    pub(super) fn host(&self) -> &str {
        &self.config.host
    }

    pub(super) fn port(&self) -> u16 {
        self.config.port.unwrap_or(if self.tls() { 8883 } else { 1883 })
    }

    pub(super) fn tls(&self) -> bool {
        self.config.ca_file.is_some()
    }

    /// What the broker says of us when we are gone without a word.
    pub(super) fn will(&self) -> LastWill {
        LastWill::new(&self.availability, "offline", QoS::AtLeastOnce, true)
    }

    /// The client's options without the will, with at most `inflight` unacknowledged messages.
    pub(super) fn options(&self, inflight: u16) -> Result<MqttOptions, MqttError> {
        let config = &self.config;
        let host = config.host.as_str();
        if ServerName::try_from(host).is_err() {
            return Err(MqttError::Host(host.escape_debug().to_string()));
        }
        let mut options = MqttOptions::new(&self.client_id, Broker::tcp(host, self.port()));
        if host.parse::<Ipv6Addr>().is_ok() {
            // The client puts host and port together without the brackets that an IPv6 address needs.
            let address = format!("[{host}]:{}", self.port());
            options.set_socket_connector(move |_, network| default_socket_connect(address.clone(), network));
        }
        options
            .set_keep_alive(KEEP_ALIVE)
            .set_clean_session(true)
            .set_max_packet_size(MOST_INCOMING, MOST_OUTGOING)
            .set_inflight(inflight)
            .set_max_request_batch(usize::from(inflight));
        match (&config.user, &config.password_file) {
            (Some(user), Some(file)) => drop(options.set_credentials(user, password(file)?)),
            (Some(user), None) => drop(options.set_username(user)),
            (None, Some(_)) => {
                return Err(MqttError::Setting("mqtt.password_file is given without a user; give mqtt.user as well"));
            }
            (None, None) => {}
        }
        if let Some(tls) = self.tls_config()? {
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(tls))));
        }
        Ok(options)
    }

    fn tls_config(&self) -> Result<Option<ClientConfig>, MqttError> {
        let config = &self.config;
        let client = match (&config.client_cert, &config.client_key) {
            (Some(certificate), Some(key)) => Some((certificate.as_path(), key.as_path())),
            (None, None) => None,
            (Some(_), None) => {
                return Err(MqttError::Setting("mqtt.client_cert is given without its key; give mqtt.client_key too"));
            }
            (None, Some(_)) => {
                return Err(MqttError::Setting(
                    "mqtt.client_key is given without its certificate; give mqtt.client_cert too",
                ));
            }
        };
        let Some(authority) = &config.ca_file else {
            return match client {
                Some(_) => Err(MqttError::Setting(
                    "mqtt.client_cert is given without an authority, so that TLS is off; give mqtt.ca_file too",
                )),
                None => Ok(None),
            };
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| content("mqtt.ca_file", authority, &error.to_string()))?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates("mqtt.ca_file", authority)? {
            let problem = |error| format!("holds a certificate that is none ({error}); copy it again");
            roots.add(certificate).map_err(|error| content("mqtt.ca_file", authority, &problem(error)))?;
        }
        let builder = builder.with_root_certificates(roots);
        let Some((certificate, key)) = client else { return Ok(Some(builder.with_no_client_auth())) };
        let chain = certificates("mqtt.client_cert", certificate)?;
        let tls = builder.with_client_auth_cert(chain, private_key(key)?).map_err(|error| match error {
            TlsError::InconsistentKeys(_) => {
                MqttError::KeyMismatch { key: key.to_owned(), certificate: certificate.to_owned() }
            }
            TlsError::InvalidCertificate(_) => {
                let problem = format!("holds a certificate that is none ({error}); copy it again");
                content("mqtt.client_cert", certificate, &problem)
            }
            _ => content(
                "mqtt.client_key",
                key,
                &format!("holds a key that cannot be used ({error}); use RSA of at least 2048 bits, P-256 or Ed25519"),
            ),
        })?;
        Ok(Some(tls))
    }
}

fn content(what: &'static str, path: &Path, problem: &str) -> MqttError {
    MqttError::Content { what, path: path.to_owned(), problem: problem.to_owned() }
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, MqttError> {
    fs::read(path).map_err(|source| MqttError::File { what, path: path.to_owned(), source })
}

/// The first line, without its end.
fn password(path: &Path) -> Result<Vec<u8>, MqttError> {
    let mut bytes = read("mqtt.password_file", path)?;
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    bytes.truncate(end);
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    if bytes.is_empty() {
        return Err(content("mqtt.password_file", path, "has an empty first line; write the password there"));
    }
    if bytes.len() > usize::from(u16::MAX) {
        return Err(content("mqtt.password_file", path, "has a first line of more than 65,535 bytes; shorten it"));
    }
    Ok(bytes)
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, MqttError> {
    let bytes = read(what, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(content(
            what,
            path,
            "holds no certificate; it must be in PEM form, with a line `-----BEGIN CERTIFICATE-----`",
        )),
        Err(error) => Err(content(what, path, &format!("is damaged ({error}); copy it again"))),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, MqttError> {
    let what = "mqtt.client_key";
    let bytes = read(what, path)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        pem::Error::NoItemsFound if bytes.windows(17).any(|text| text == b"BEGIN ENCRYPTED P") => {
            content(what, path, "is encrypted; decrypt it with `openssl pkey` and let only the service's user read it")
        }
        pem::Error::NoItemsFound => content(
            what,
            path,
            "holds no private key; it must be in PEM form, with a line `-----BEGIN PRIVATE KEY-----`",
        ),
        _ => content(what, path, &format!("is damaged ({error}); copy it again")),
    })
}
