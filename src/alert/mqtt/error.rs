//! Why a publisher cannot be started.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// A setting or file with which no connection can be tried.
#[derive(Debug, Error)]
pub enum MqttError {
    /// A name that cannot be one level of a topic.
    #[error("{what} `{name}` {problem}; it becomes part of MQTT topics: use letters, digits, `-`, `_` and spaces")]
    Name {
        /// Whose name.
        what: &'static str,
        /// The name, with control characters escaped.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Two stations with the same name.
    #[error("two stations are called `{0}`; give each its own name")]
    Twice(String),
    /// The host is empty.
    #[error(
        "mqtt.host `{0}` is no host name or address; give it as `broker.example` or `192.168.1.5`, without a scheme or port"
    )]
    Host(String),
    /// Settings that do not go together.
    #[error("{0}")]
    Setting(&'static str),
    /// A file that cannot be read.
    #[error("{what} {} cannot be read ({source}); check the path and that the user of the service may read it", path.display())]
    File {
        /// The setting that names it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that does not hold what it should.
    #[error("{what} {} {problem}", path.display())]
    Content {
        /// The setting that names it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The key belongs to another certificate.
    #[error(
        "mqtt.client_key {} does not belong to mqtt.client_cert {}; give the two files that were issued together",
        key.display(),
        certificate.display()
    )]
    KeyMismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// The system gives no thread.
    #[error("cannot start the thread for MQTT ({0}); free memory or processes")]
    Thread(io::Error),
}

impl MqttError {
    /// A word that does not change.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Name { .. } => "mqtt-name",
            Self::Twice(_) => "mqtt-name-twice",
            Self::Host(_) => "mqtt-host",
            Self::Setting(_) => "mqtt-setting",
            Self::File { .. } => "mqtt-file",
            Self::Content { .. } => "mqtt-file-content",
            Self::KeyMismatch { .. } => "mqtt-key-mismatch",
            Self::Thread(_) => "mqtt-thread",
        }
    }
}
