//! The topics of a device. Refuses names that would break a topic or match somebody else's.

use std::collections::BTreeMap;

use super::error::MqttError;

/// Longest name in bytes; a topic has four of them and must stay far below MQTT's 65,535.
const LONGEST: usize = 128;

/// Whether a name can be one level of a topic. `what` names it in the error, such as `station`.
///
/// # Errors
/// [`MqttError::Name`].
pub fn check_name(what: &'static str, name: &str) -> Result<(), MqttError> {
    let problem = if name.is_empty() {
        "is empty"
    } else if name.len() > LONGEST {
        "has more than 128 bytes"
    } else if name.contains('/') {
        "contains `/`, which separates the levels of a topic"
    } else if name.contains(['+', '#']) {
        "contains `+` or `#`, which stand for any level of a topic"
    } else if name.starts_with('$') {
        "begins with `$`, which is kept for the broker's own topics"
    } else if name.contains(|c: char| c.is_control() || ('\u{fdd0}'..='\u{fdef}').contains(&c) || c == '\u{feff}') {
        "contains a control character"
    } else if name.trim() != name {
        "begins or ends with a space"
    } else {
        return Ok(());
    };
    let shown: String = name.chars().take(40).flat_map(char::escape_debug).collect();
    Err(MqttError::Name { what, name: shown, problem })
}

/// Whether a prefix can begin the topics: one or more names with `/` between.
///
/// # Errors
/// [`MqttError::Name`].
pub fn check_prefix(prefix: &str) -> Result<(), MqttError> {
    prefix.split('/').try_for_each(|level| check_name("mqtt.prefix", level))
}

/// The topics of one device.
#[derive(Clone, Debug)]
pub(super) struct Topics {
    pub(super) site: String,
    pub(super) device: String,
    pub(super) stations: Vec<String>,
    base: String,
    events: BTreeMap<String, String>,
}

impl Topics {
    pub(super) fn new(prefix: &str, site: &str, device: &str, stations: &[String]) -> Result<Self, MqttError> {
        check_prefix(prefix)?;
        check_name("site", site)?;
        check_name("device", device)?;
        let base = format!("{prefix}/{site}/{device}");
        let mut events = BTreeMap::new();
        for station in stations {
            check_name("station", station)?;
            if station == "availability" {
                // It would put `availability/state` beside the device's own `availability`, which confuses readers.
                let (what, name) = ("station", station.clone());
                return Err(MqttError::Name { what, name, problem: "is a word that the device's own topic uses" });
            }
            if events.insert(station.clone(), format!("{base}/{station}/event")).is_some() {
                return Err(MqttError::Twice(station.clone()));
            }
        }
        Ok(Self { site: site.to_owned(), device: device.to_owned(), stations: stations.to_vec(), base, events })
    }

    /// `<prefix>/<site>/<device>`.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    pub(super) fn availability(&self) -> String {
        format!("{}/availability", self.base)
    }

    pub(super) fn of(&self, station: &str, last: &str) -> String {
        format!("{}/{station}/{last}", self.base)
    }

    /// The topic of an event. A station of an earlier configuration keeps its topic as long as its name can be one.
    pub(super) fn event(&self, station: &str) -> String {
        if let Some(topic) = self.events.get(station) {
            return topic.clone();
        }
        let name = if check_name("station", station).is_ok() { station } else { "unknown" };
        self.of(name, "event")
    }

    pub(super) fn knows(&self, station: &str) -> bool {
        self.events.contains_key(station)
    }

    /// Station and last level of one of our topics below a known station.
    pub(super) fn split<'a>(&self, topic: &'a str) -> Option<(&'a str, &'a str)> {
        let (station, last) = topic.strip_prefix(&self.base)?.strip_prefix('/')?.split_once('/')?;
        self.events.contains_key(station).then_some((station, last))
    }

    /// The client identifier: the same for every connection, so that the broker lets a new one replace a dead one.
    pub(super) fn client_id(&self) -> String {
        self.base.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::{Topics, check_name, check_prefix};

    #[test]
    fn names_that_break_topics_are_refused() {
        let long = "x".repeat(129);
        for name in ["", "a/b", "a+", "#", "$SYS", "a\0b", "a\nb", " a", "a ", "\u{feff}a", "\u{9f}", long.as_str()] {
            let error = check_name("station", name).unwrap_err();
            assert_eq!(error.code(), "mqtt-name");
            assert!(error.to_string().starts_with("station `"), "{error}");
            assert!(!error.to_string().contains(char::is_control), "{error:?}");
        }
        for name in ["cam1", "Line 3", "Süd", "カメラ", "a-b_c.d", "a$"] {
            check_name("station", name).unwrap();
        }
        check_prefix("plant/shelfwatch").unwrap();
        for prefix in ["", "/a", "a/", "a//b", "a/+"] {
            check_prefix(prefix).unwrap_err();
        }
    }

    #[test]
    fn topics_and_back() {
        let topics = Topics::new("p", "s", "d", &["a".to_owned(), "b c".to_owned()]).unwrap();
        assert_eq!(topics.availability(), "p/s/d/availability");
        assert_eq!(topics.event("b c"), "p/s/d/b c/event");
        assert_eq!(topics.event("gone"), "p/s/d/gone/event");
        assert_eq!(topics.event("x/+/#"), "p/s/d/unknown/event");
        assert_eq!(topics.split("p/s/d/b c/trigger"), Some(("b c", "trigger")));
        for other in ["p/s/d/z/trigger", "p/s/d", "p/s/dd/a/trigger", "p/s/d/a"] {
            assert_eq!(topics.split(other), None, "{other}");
        }
        assert_eq!(Topics::new("p", "s", "d", &["a".into(), "a".into()]).unwrap_err().code(), "mqtt-name-twice");
        Topics::new("p", "s", "d", &["availability".into()]).unwrap_err();
    }
}
