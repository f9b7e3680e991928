//! The retained messages by which Home Assistant learns of the stations
//! (<https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery>), and which of them are no longer true.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::topic::Topics;

/// What Home Assistant is told: nothing where the option is off.
#[derive(Debug)]
pub(super) struct Discovery {
    node: String,
    configs: BTreeMap<String, String>,
}

/// One thing that Home Assistant shows.
struct Entity<'a> {
    component: &'static str,
    id: String,
    name: String,
    topic: &'a str,
    template: &'static str,
    more: Value,
}

impl Discovery {
    pub(super) fn new(topics: &Topics, on: bool) -> Self {
        let node = format!("shelfwatch-{}-{}", slug(&topics.device), hash(topics.base()));
        let mut discovery = Self { node, configs: BTreeMap::new() };
        if on {
            discovery.device(topics);
            for station in &topics.stations {
                discovery.station(topics, station);
            }
        }
        discovery
    }

    /// Every topic with its message; to be retained.
    pub(super) fn configs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.configs.iter().map(|(topic, config)| (topic.as_str(), config.as_str()))
    }

    /// Where our messages of now and earlier are.
    pub(super) fn filter(&self) -> String {
        format!("homeassistant/+/{}/+/config", self.node)
    }

    /// Whether a retained message with that topic is ours and no longer true.
    pub(super) fn is_stale(&self, topic: &str) -> bool {
        let mut levels = topic.split('/');
        levels.next() == Some("homeassistant")
            && levels.nth(1) == Some(&self.node)
            && levels.nth(1) == Some("config")
            && levels.next().is_none()
            && !self.configs.contains_key(topic)
    }

    fn device(&mut self, topics: &Topics) {
        let topic = topics.availability();
        let more = json!({
            "device_class": "connectivity", "payload_on": "online", "payload_off": "offline",
            "entity_category": "diagnostic",
        });
        let name = "Connection".to_owned();
        let entity =
            Entity { component: "binary_sensor", id: "connection".into(), name, topic: &topic, template: "", more };
        self.add(topics, entity, false);
    }

    fn station(&mut self, topics: &Topics, station: &str) {
        let (state, stats) = (topics.of(station, "state"), topics.of(station, "stats"));
        let id = |what: &str| format!("{}_{what}", slug(station));
        let name = |what: &str| format!("{station} {what}");
        let problem = json!({ "device_class": "problem", "json_attributes_topic": state });
        let template = "{{ 'ON' if value_json.state == 'fault' else 'OFF' }}";
        let mut entities = vec![Entity {
            component: "binary_sensor",
            id: id("problem"),
            name: name("problem"),
            topic: &state,
            template,
            more: problem,
        }];
        for (what, template) in [
            ("inspected", "{{ value_json.inspected }}"),
            ("rejected", "{{ value_json.rejected }}"),
            ("review", "{{ value_json.review }}"),
        ] {
            let more = json!({ "state_class": "total_increasing", "unit_of_measurement": "parts" });
            entities.push(Entity {
                component: "sensor",
                id: id(what),
                name: name(what),
                topic: &stats,
                template,
                more,
            });
        }
        entities.push(Entity {
            component: "sensor",
            id: id("last_reject"),
            name: name("last reject"),
            topic: &state,
            // Home Assistant takes `None` for unknown.
            template: "{{ value_json.last_reject }}",
            more: json!({ "device_class": "timestamp" }),
        });
        for entity in entities {
            self.add(topics, entity, true);
        }
    }

    fn add(&mut self, topics: &Topics, entity: Entity<'_>, gated: bool) {
        let mut config = json!({
            "name": entity.name,
            "unique_id": format!("{}_{}", self.node, entity.id),
            "state_topic": entity.topic,
            "qos": 1,
            "device": {
                "identifiers": [self.node], "name": topics.device, "suggested_area": topics.site,
                "manufacturer": "shelfwatch", "model": "shelfwatch", "sw_version": env!("CARGO_PKG_VERSION"),
            },
            "origin": { "name": "shelfwatch", "sw_version": env!("CARGO_PKG_VERSION") },
        });
        if let (Value::Object(config), Value::Object(more)) = (&mut config, entity.more) {
            config.extend(more);
            if !entity.template.is_empty() {
                config.insert("value_template".to_owned(), entity.template.into());
            }
            if gated {
                config.insert("availability_topic".to_owned(), topics.availability().into());
            }
        }
        let topic = format!("homeassistant/{}/{}/{}/config", entity.component, self.node, entity.id);
        self.configs.insert(topic, config.to_string());
    }
}

/// The name with letters, digits, `-` and `_` only; where it is changed, a number keeps it apart from others.
fn slug(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.chars().all(plain) {
        return name.to_owned();
    }
    let changed: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    format!("{changed}-{}", hash(name))
}

/// FNV-1a with 32 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>), in hexadecimal.
fn hash(text: &str) -> String {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    format!("{:08x}", text.bytes().fold(0x811c_9dc5, step))
}

#[cfg(test)]
mod tests {
    use super::{Discovery, hash, slug};
    use crate::alert::mqtt::topic::Topics;

    #[test]
    fn what_is_stale_is_ours_and_not_announced() {
        assert_eq!(hash("a"), "e40c292c");
        assert_eq!(slug("line_1"), "line_1");
        assert_ne!(slug("line 1"), slug("line/1"));
        let topics = Topics::new("p", "s", "d", &["a b".to_owned()]).unwrap();
        let (on, off) = (Discovery::new(&topics, true), Discovery::new(&topics, false));
        assert_eq!(on.configs().count(), 6);
        assert_eq!(off.configs().count(), 0);
        for (topic, config) in on.configs() {
            assert!(!on.is_stale(topic) && off.is_stale(topic), "{topic}");
            let object = topic.trim_end_matches("/config").rsplit('/').next().unwrap();
            assert!(object.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'), "{object}");
            let config: serde_json::Value = serde_json::from_str(config).unwrap();
            assert!(config["unique_id"].is_string() && config["state_topic"].is_string());
        }
        assert!(!off.is_stale("homeassistant/sensor/shelfwatch-d-00000000/x/config"));
        assert!(!off.is_stale("homeassistant/sensor"));
    }
}
