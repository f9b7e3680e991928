//! What hinders a connection, in words with the remedy.

use std::error::Error as StdError;
use std::fmt::Display;
use std::io::{Error as IoError, ErrorKind};

use rumqttc::tokio_rustls::rustls::{AlertDescription, CertificateError, Error as TlsError};
use rumqttc::{ConnectReturnCode, ConnectionError, StateError};

use super::login::Login;

/// Why there is no connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// What and what to do.
    pub(super) text: String,
    /// The broker has refused us; asking again soon will not help.
    pub(super) slow: bool,
}

impl Trouble {
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), slow: false }
    }

    /// `made`: whether the broker had accepted us.
    pub(super) fn new(error: &ConnectionError, login: &Login, made: bool) -> Self {
        let broker = format!("broker {}:{}", login.host(), login.port());
        if let ConnectionError::ConnectionRefused(code) = error {
            return Self { text: format!("{broker} {}", refusal(*code)), slow: true };
        }
        let text = if let Some(tls) = cause::<TlsError>(error) {
            let (problem, slow) = tls_problem(tls);
            return Self { text: format!("{broker} {problem}"), slow };
        } else if let Some(io) = cause::<IoError>(error) {
            io_problem(io, login, made)
        } else {
            match error {
                ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => {
                    "does not answer; check the address, the network between, and firewalls".to_owned()
                }
                ConnectionError::MqttState(StateError::AwaitPingResp) => silent(),
                ConnectionError::MqttState(StateError::ConnectionAborted) => closed(login, made),
                ConnectionError::MqttState(StateError::Deserialization(problem)) => no_mqtt(problem),
                other => format!("broke the connection ({other}); see the broker's log"),
            }
        };
        Self::plain(format!("{broker} {text}"))
    }
}

/// The words for a broker that is connected and says nothing.
pub(super) fn silent() -> String {
    "has gone silent; check the network between, and whether the broker hangs".to_owned()
}

fn refusal(code: ConnectReturnCode) -> &'static str {
    match code {
        ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
            "refuses our user or password; check mqtt.user and mqtt.password_file against the broker's password file"
        }
        ConnectReturnCode::BadClientId => {
            "refuses our client identifier `<prefix>/<site>/<device>`; allow it, or use shorter names"
        }
        ConnectReturnCode::RefusedProtocolVersion => "does not speak MQTT 3.1.1; enable it, or use another broker",
        ConnectReturnCode::ServiceUnavailable => "says it is not available; see the broker's log",
        ConnectReturnCode::Success => "sent no answer that makes sense; see the broker's log",
    }
}

fn tls_problem(error: &TlsError) -> (String, bool) {
    let text = match error {
        TlsError::InvalidCertificate(problem) => certificate_problem(problem),
        TlsError::AlertReceived(alert) => match *alert {
            AlertDescription::UnknownCA => {
                "does not know the authority of our certificate; give one in mqtt.client_cert that its `cafile` has signed"
                    .to_owned()
            }
            AlertDescription::CertificateExpired => {
                "says that our certificate has expired; renew mqtt.client_cert, and check the clocks of both".to_owned()
            }
            AlertDescription::CertificateRequired => {
                "wants a client certificate; give mqtt.client_cert and mqtt.client_key".to_owned()
            }
            AlertDescription::HandshakeFailure => {
                "shares no cipher with us, or wants a client certificate; see the broker's log, and give mqtt.client_cert if it asks for one".to_owned()
            }
            AlertDescription::ProtocolVersion => "speaks neither TLS 1.2 nor 1.3; update the broker".to_owned(),
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::AccessDenied => {
                format!("refuses our certificate ({alert:?}); check mqtt.client_cert, see the broker's log")
            }
            _ => format!("ended TLS ({alert:?}); see the broker's log"),
        },
        TlsError::InvalidMessage(_) | TlsError::InappropriateMessage { .. } => {
            return ("does not speak TLS on this port; use its TLS port (usually 8883), or leave out mqtt.ca_file".to_owned(), true);
        }
        other => format!("cannot be reached by TLS ({other}); see the broker's log"),
    };
    (text, true)
}

fn certificate_problem(problem: &CertificateError) -> String {
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "has a certificate that has expired; renew it on the broker, and check this device's clock".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "has a certificate that is not valid yet; check this device's clock".to_owned()
        }
        CertificateError::NotValidForName => {
            "has a certificate for another name; set mqtt.host to a name in the certificate".to_owned()
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            // Each is written as `DnsName("broker.example")`.
            let inside = |name: &String| name.split('"').nth(1).unwrap_or(name).to_owned();
            let names: Vec<String> = presented.iter().map(inside).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            format!("has a certificate for other names ({names}); set mqtt.host to one of them, or issue a certificate for ours")
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "has a certificate that the authority in mqtt.ca_file has not signed; give the right authority, the connection may be tapped otherwise"
                .to_owned()
        }
        CertificateError::Revoked => "has a certificate that was revoked; renew it on the broker".to_owned(),
        other => format!("has a certificate that cannot be trusted ({other}); issue a new one"),
    }
}

fn io_problem(error: &IoError, login: &Login, made: bool) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => {
            "refuses the connection; check that the broker runs and listens on this address and port".to_owned()
        }
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected
        | ErrorKind::UnexpectedEof => closed(login, made),
        ErrorKind::TimedOut => "does not answer; check the address, the network between, and firewalls".to_owned(),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            format!("cannot be reached ({error}); check this device's network and mqtt.host")
        }
        // So the client says when the broker closes the connection within a packet.
        ErrorKind::Other if error.to_string().contains("remaining on stream") => no_mqtt(error),
        // The resolver's errors have no kind of their own.
        _ if error.to_string().contains("lookup address") => {
            format!("has a name that is not known here ({error}); check mqtt.host, the network and the DNS server")
        }
        _ => format!("cannot be reached ({error}); check the network and the broker's log"),
    }
}

fn no_mqtt(problem: &dyn Display) -> String {
    format!(
        "sent what is no MQTT, or a message of more than 256 KiB ({problem}); check the port and who publishes to our topics"
    )
}

fn closed(login: &Login, made: bool) -> String {
    if made {
        "has closed the connection; if it goes on, see the broker's log: it may restart, or another device has our site and device name".to_owned()
    } else if login.tls() {
        "has closed the connection before it was made; it may not speak TLS on this port, or refuse our certificate: see the broker's log".to_owned()
    } else {
        "has closed the connection before it was made; if this is its TLS port, give mqtt.ca_file, else see the broker's log".to_owned()
    }
}

/// The first cause of that type, also inside of input and output errors, which hide theirs.
fn cause<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<IoError>().and_then(IoError::get_ref);
        next = match inner {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    None
}
