//! What the running daemon makes of a shelf that was put in its place.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use shelfwatch::config::{Config, Station};

/// For the daemon to prove the shelf once more beside the running stations, and to take it over.
const PATIENCE: Duration = Duration::from_mins(2);
/// For one answer of the daemon.
const ANSWER: Duration = Duration::from_secs(5);

/// What became of the shelf in the running daemon.
pub(super) enum Adoption {
    /// It was not waited for.
    NotAsked,
    /// Nobody answers there.
    NoDaemon,
    /// It judges parts with it.
    Ready,
    /// It has it, and something else keeps it from judging.
    Taken(String),
    /// It goes on with another.
    Refused(String),
}

impl Adoption {
    /// Waits until the daemon has taken the shelf over, or says why not.
    pub(super) fn wait(config: &Config, station: &Station, sha256: &str) -> Self {
        let Some(mut listen) = config.web.listen else { return Self::NotAsked };
        if listen.ip().is_unspecified() {
            listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), listen.port());
        }
        let begun = Instant::now();
        let mut answered = false;
        loop {
            let heard = health(listen);
            answered |= heard.is_some();
            let ours = heard.as_ref().and_then(|health| {
                let stations = health["stations"].as_array()?;
                stations.iter().find(|one| one["station"] == station.name.as_str()).cloned()
            });
            let patient = begun.elapsed() < PATIENCE;
            match ours {
                // One that takes over a shelf does not answer for a moment.
                None if !answered && begun.elapsed() > ANSWER => return Self::NoDaemon,
                Some(one) if one["shelf"] == sha256 => match one["state"].as_str() {
                    Some("ready") => return Self::Ready,
                    Some("fault") => return Self::Taken(one["fault"]["text"].as_str().unwrap_or_default().to_owned()),
                    _ if !patient => return Self::Taken("it is still starting".to_owned()),
                    _ => {}
                },
                None if !patient && heard.is_none() => {
                    return Self::Refused("it has stopped answering; its log says why".to_owned());
                }
                _ if !patient => {
                    return Self::Refused("it goes on with another shelf; its log and its events say why".to_owned());
                }
                _ => {}
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::NotAsked => "not-asked",
            Self::NoDaemon => "none",
            Self::Ready => "ready",
            Self::Taken(_) => "taken",
            Self::Refused(_) => "refused",
        }
    }

    pub(super) fn words(&self) -> String {
        match self {
            Self::NotAsked => "not asked".to_owned(),
            Self::NoDaemon => "none answers; it takes the shelf when it starts".to_owned(),
            Self::Ready => "judges parts with it".to_owned(),
            Self::Taken(why) => format!("has taken it over, and judges nothing now: {why}"),
            Self::Refused(why) => why.clone(),
        }
    }
}

/// What the daemon says of itself; `None` where nobody does.
fn health(listen: SocketAddr) -> Option<Value> {
    let agent = ureq::Agent::config_builder().timeout_global(Some(ANSWER)).http_status_as_error(false).build();
    let mut answer = ureq::Agent::new_with_config(agent).get(format!("http://{listen}/healthz")).call().ok()?;
    serde_json::from_str(&answer.body_mut().read_to_string().ok()?).ok()
}
