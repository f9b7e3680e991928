//! Texts without the passwords in them, for logs and messages.

/// The text with user, password and query of every address in it, and values of keys that sound like a password,
/// replaced by `***`.
pub fn without_secrets(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return hidden_value(text) };
    let end = rest.find(|c: char| c.is_whitespace()).unwrap_or(rest.len());
    let (address, after) = rest.split_at(end);
    let (address, query) = address.split_once('?').map_or((address, ""), |(address, _)| (address, "?***"));
    let place = address.rsplit_once('@').map_or_else(|| address.to_owned(), |(_, place)| format!("***@{place}"));
    format!("{scheme}://{place}{query}{}", if after.is_empty() { String::new() } else { without_secrets(after) })
}

fn hidden_value(text: &str) -> String {
    match text.split_once('=') {
        Some((key, _)) if sounds_secret(key) => format!("{key}=***"),
        _ => text.to_owned(),
    }
}

fn sounds_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    ["pass", "pw", "secret", "token", "key"].iter().any(|word| key.contains(word))
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn passwords_are_hidden() {
        for (text, shown) in [
            ("http://user:pass@host:80/path", "http://***@host:80/path"),
            ("http://host/path", "http://host/path"),
            ("rtsp://u:p@ss/w@host/a b://c:d@e", "rtsp://***@host/a b://***@e"),
            ("http://host/cgi?user=a&pwd=b", "http://host/cgi?***"),
            ("user-pw=hush", "user-pw=***"),
            ("width=640", "width=640"),
            ("--nopreview", "--nopreview"),
        ] {
            assert_eq!(without_secrets(text), shown);
        }
    }
}
