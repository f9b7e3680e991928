//! The shape of the file: keys, types and ranges, against the JSON schema of the types. Refuses unknown keys and names
//! the nearest known one.

use std::net::SocketAddr;

use serde_json::Value as Json;
use toml::Value;

use super::key_path::{Findings, KeyPath, printable};

/// The schema's word for an address with a port, or nothing.
const ADDRESS: &str = "socket-address";

/// The schema and what it refers to.
pub(super) struct Shape<'s> {
    schema: &'s Json,
}

/// What a value may be: one of some words, one of some tables with one key each, or of a type.
#[derive(Default)]
struct Choice<'s> {
    words: Vec<&'s str>,
    tables: Vec<(&'s str, &'s Json)>,
    plain: Vec<&'s Json>,
}

impl<'s> Shape<'s> {
    pub(super) fn new(schema: &'s Json) -> Self {
        Self { schema }
    }

    /// Reports all that does not fit; the unknown keys are given back.
    pub(super) fn check(&self, table: &toml::Table, findings: &mut Findings<'_>) -> Vec<KeyPath> {
        let mut unknown = Vec::new();
        self.table(table, self.schema, &KeyPath::default(), findings, &mut unknown);
        unknown
    }

    fn value(
        &self,
        value: &Value,
        schema: &'s Json,
        path: &KeyPath,
        findings: &mut Findings<'_>,
        unknown: &mut Vec<KeyPath>,
    ) {
        let choice = self.choice(schema);
        match value {
            Value::String(word) if choice.words.contains(&word.as_str()) => {}
            Value::Table(table) if !choice.tables.is_empty() => {
                self.tagged(table, &choice, path, findings, unknown);
            }
            Value::String(word) if !choice.words.is_empty() && !choice.plain.iter().any(|&plain| is(value, plain)) => {
                findings.add(path, &format!("is \"{}\"", printable(word)), format!("write {}", choice.expected(path)));
            }
            _ => match choice.plain.iter().find(|&plain| is(value, plain)) {
                Some(plain) => self.plain(value, plain, path, findings, unknown),
                None => findings.add(path, &format!("is {}", found(value)), format!("write {}", choice.expected(path))),
            },
        }
    }

    /// A value of the right type.
    fn plain(
        &self,
        value: &Value,
        schema: &'s Json,
        path: &KeyPath,
        findings: &mut Findings<'_>,
        unknown: &mut Vec<KeyPath>,
    ) {
        match value {
            Value::Table(table) => self.table(table, schema, path, findings, unknown),
            Value::Array(list) => {
                let count = |name| schema.get(name).and_then(Json::as_u64);
                let (least, most) = (count("minItems").unwrap_or(0), count("maxItems").unwrap_or(u64::MAX));
                if (list.len() as u64) < least || list.len() as u64 > most {
                    let wanted = if least == most { format!("{least}") } else { format!("at least {least}") };
                    findings.add(path, &format!("has {} values", list.len()), format!("give {wanted}"));
                }
                if let Some(items) = schema.get("items") {
                    for (index, item) in list.iter().enumerate() {
                        self.value(item, items, &path.index(index), findings, unknown);
                    }
                }
            }
            Value::Integer(number) => range(*number as f64, &number.to_string(), schema, path, findings),
            Value::Float(number) => range(*number, &number.to_string(), schema, path, findings),
            Value::String(text) if schema.get("format").is_some_and(|name| name == ADDRESS) && !is_address(text) => {
                let remedy = "write it as \"127.0.0.1:9464\" or \"[::1]:9464\", or \"\" for none";
                findings.add(path, &format!("is \"{}\", no address with a port", printable(text)), remedy);
            }
            _ => {}
        }
    }

    fn table(
        &self,
        table: &toml::Table,
        schema: &'s Json,
        path: &KeyPath,
        findings: &mut Findings<'_>,
        unknown: &mut Vec<KeyPath>,
    ) {
        let Some(properties) = schema.get("properties").and_then(Json::as_object) else { return };
        for (key, value) in table {
            let here = path.key(key);
            if let Some(property) = properties.get(key) {
                self.value(value, property, &here, findings, unknown);
            } else {
                let known: Vec<&str> = properties.keys().map(String::as_str).collect();
                findings.unknown(&here, self.hint(key, &known));
                unknown.push(here);
            }
        }
        for key in schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str) {
            if !table.contains_key(key) {
                let property = properties.get(key).unwrap_or(&Json::Null);
                let here = path.key(key);
                let choice = self.choice(property);
                let meaning = property.get("description").and_then(Json::as_str).unwrap_or_default();
                let meaning = if choice.tables.is_empty() { in_a_sentence(meaning) } else { String::new() };
                let gap = if meaning.is_empty() { "" } else { ": " };
                findings.add(&here, "is missing", format!("add {}{gap}{meaning}", choice.expected(&here)));
            }
        }
    }

    /// A table whose only key says which of several it is.
    fn tagged(
        &self,
        table: &toml::Table,
        choice: &Choice<'s>,
        path: &KeyPath,
        findings: &mut Findings<'_>,
        unknown: &mut Vec<KeyPath>,
    ) {
        let known: Vec<&str> = choice.tables.iter().map(|(tag, _)| *tag).collect();
        let (mut right, mut wrong) = (Vec::new(), 0);
        for (key, value) in table {
            let here = path.key(key);
            if let Some((tag, schema)) = choice.tables.iter().find(|(tag, _)| tag == key) {
                right.push(*tag);
                self.value(value, schema, &here, findings, unknown);
            } else {
                wrong += 1;
                findings.unknown(&here, self.hint(key, &known));
                unknown.push(here);
            }
        }
        match right.as_slice() {
            [] if wrong == 0 => findings.add(path, "is empty", format!("write {}", choice.expected(path))),
            [] | [_] => {}
            several => {
                let names: Vec<String> = several.iter().map(|tag| format!("`{tag}`")).collect();
                findings.add(path, &format!("holds {}", names.join(" and ")), "keep one of them");
            }
        }
    }

    fn choice(&self, schema: &'s Json) -> Choice<'s> {
        let mut choice = Choice::default();
        self.gather(schema, &mut choice);
        choice
    }

    fn gather(&self, schema: &'s Json, choice: &mut Choice<'s>) {
        let schema = self.followed(schema);
        let several = ["anyOf", "oneOf"].iter().find_map(|name| schema.get(*name)).and_then(Json::as_array);
        if let Some(several) = several {
            for one in several {
                self.gather(one, choice);
            }
        } else if let Some(word) = schema.get("const").and_then(Json::as_str) {
            choice.words.push(word);
        } else if let Some(words) = schema.get("enum").and_then(Json::as_array) {
            choice.words.extend(words.iter().filter_map(Json::as_str));
        } else if schema.get("type").and_then(Json::as_str) == Some("null") {
        } else if let Some((tag, inner)) = tag(schema) {
            choice.tables.push((tag, inner));
        } else {
            choice.plain.push(schema);
        }
    }

    fn followed(&self, schema: &'s Json) -> &'s Json {
        let Some(name) = schema.get("$ref").and_then(Json::as_str) else { return schema };
        name.strip_prefix('#').and_then(|pointer| self.schema.pointer(pointer)).unwrap_or(schema)
    }

    fn hint(&self, key: &str, known: &[&str]) -> String {
        let short: String = key.chars().take(40).collect::<String>().to_lowercase();
        let near = |known: &&str| {
            let distance = strsim::damerau_levenshtein(&short.replace('-', "_"), known);
            let close = distance <= 2.max(known.len() / 3) && distance < known.len();
            (close || known.starts_with(&short) && !short.is_empty()).then(|| (distance, (*known).to_owned()))
        };
        if let Some((_, nearest)) = known.iter().filter_map(near).min() {
            return format!("did you mean `{nearest}`?");
        }
        let homes = self.homes(key);
        if !homes.is_empty() {
            return format!("that key belongs in {}", homes.join(" or "));
        }
        format!("the keys here are {}", known.join(", "))
    }

    /// The tables that know the key.
    fn homes(&self, key: &str) -> Vec<String> {
        let mut homes = Vec::new();
        self.search(self.schema, key, &KeyPath::default(), &mut homes);
        homes
    }

    fn search(&self, schema: &'s Json, key: &str, path: &KeyPath, homes: &mut Vec<String>) {
        let Some(properties) = schema.get("properties").and_then(Json::as_object) else { return };
        if properties.contains_key(key) {
            let table = path.dotted();
            homes.push(if table.is_empty() { "the top of the file".to_owned() } else { format!("[{table}]") });
        }
        for (name, property) in properties {
            let here = path.key(name);
            let choice = self.choice(property);
            for plain in choice.plain {
                let inner = plain.get("items").map_or(plain, |items| self.followed(items));
                self.search(inner, key, &here, homes);
            }
            for (tag, inner) in choice.tables {
                self.search(self.followed(inner), key, &here.key(tag), homes);
            }
        }
    }
}

impl Choice<'_> {
    /// What may be written, in words.
    fn expected(&self, path: &KeyPath) -> String {
        let words = self.words.iter().map(|word| format!("\"{word}\""));
        let tables = self.tables.iter().map(|(tag, _)| format!("[{}]", path.key(tag).dotted()));
        let plain = self.plain.iter().map(|schema| type_words(schema).to_owned());
        let all: Vec<String> = words.chain(tables).chain(plain).collect();
        match all.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, before)) => format!("{} or {last}", before.join(", ")),
            None => "another value".to_owned(),
        }
    }
}

/// The key and the schema behind it, where the schema is a table with one fixed key.
fn tag(schema: &Json) -> Option<(&str, &Json)> {
    let properties = schema.get("properties")?.as_object()?;
    let required = schema.get("required")?.as_array()?;
    let (name, inner) = properties.iter().next()?;
    (properties.len() == 1 && required.len() == 1 && inner.get("type")?.as_str()? == "object")
        .then_some((name.as_str(), inner))
}

/// The first sentence, small at its beginning.
fn in_a_sentence(text: &str) -> String {
    let first = text.split(['.', ';', '\n']).next().unwrap_or_default();
    let mut chars = first.chars();
    chars.next().map_or_else(String::new, |initial| initial.to_lowercase().chain(chars).collect())
}

fn is_address(text: &str) -> bool {
    text.is_empty() || text.parse::<SocketAddr>().is_ok()
}

fn type_name(schema: &Json) -> &str {
    let name = schema.get("type");
    let of_several = || name?.as_array()?.iter().filter_map(Json::as_str).find(|name| *name != "null");
    name.and_then(Json::as_str).or_else(of_several).unwrap_or_default()
}

fn type_words(schema: &Json) -> &'static str {
    match type_name(schema) {
        "object" => "a table",
        "array" => "a list",
        "string" => "a text in quotes",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        _ => "another value",
    }
}

fn found(value: &Value) -> &'static str {
    match value {
        Value::Table(_) => "a table",
        Value::Array(_) => "a list",
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number with a point",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
    }
}

fn is(value: &Value, schema: &Json) -> bool {
    let name = type_name(schema);
    match value {
        Value::Table(_) => name == "object",
        Value::Array(_) => name == "array",
        Value::String(_) => name == "string",
        Value::Integer(_) => name == "integer" || name == "number",
        Value::Float(_) => name == "number",
        Value::Boolean(_) => name == "boolean",
        Value::Datetime(_) => false,
    }
}

fn range(number: f64, text: &str, schema: &Json, path: &KeyPath, findings: &mut Findings<'_>) {
    let bound = |name: &str| schema.get(name).and_then(Json::as_f64);
    let of_type = match schema.get("format").and_then(Json::as_str) {
        Some("uint32") => f64::from(u32::MAX),
        _ => i64::MAX as f64,
    };
    let least = bound("minimum").or(bound("exclusiveMinimum")).unwrap_or(f64::MIN);
    let most = bound("maximum").unwrap_or(of_type);
    let above = bound("exclusiveMinimum").is_none_or(|bound| number > bound);
    // Not a number is in no range.
    if !(number >= least && number <= most && above) {
        let from = if bound("exclusiveMinimum").is_some() { format!("above {least}") } else { format!("{least}") };
        findings.add(path, &format!("is {text}"), format!("allowed is {from} to {most}"));
    }
}
