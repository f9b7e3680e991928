//! The address of a stream: `http://user:password@host:port/path`. Refuses https, and keeps the password out of names.

use crate::camera::{CameraError, refused};

/// An address with the credentials taken out.
pub(super) struct Address {
    /// Without credentials.
    pub(super) url: String,
    /// The value of the header `Authorization`.
    pub(super) authorization: Option<String>,
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, CameraError> {
        let scheme = url.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://"));
        let Some(rest) = scheme.and_then(|scheme| url.strip_prefix(scheme)) else {
            let reason =
                "its address must begin with http:// (https and rtsp come in through a command such as ffmpeg)";
            return Err(refused("http stream", reason));
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        // The last @ ends the credentials, so that one in a password does no harm.
        let (credentials, host) = match authority.rsplit_once('@') {
            Some((credentials, host)) => (Some(credentials), host),
            None => (None, authority),
        };
        if host.is_empty() || !url.chars().all(|c| c.is_ascii_graphic()) {
            let reason =
                "its address has no host, or blanks or letters beyond ASCII; write http://host/path, others as %20";
            return Err(refused("http stream", reason));
        }
        let authorization = credentials.map(|credentials| {
            let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
            let plain = [&unescape(user)[..], b":", &unescape(password)[..]].concat();
            format!("Basic {}", base64(&plain))
        });
        Ok(Self { url: format!("http://{host}{path}"), authorization })
    }

    /// For messages: without credentials and without a query, which may hold some too.
    pub(super) fn name(&self) -> String {
        format!("http stream {}", self.url.split(['?', '#']).next().unwrap_or_default())
    }
}

/// `%40` to `@` and so on; a percent sign without two digits stands for itself.
fn unescape(text: &str) -> Vec<u8> {
    let (mut plain, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, after @ ..] = rest {
        let digits = after.first_chunk::<2>().and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits.filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        plain.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    plain
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word = (0..3).fold(0_usize, |word, at| word << 8 | usize::from(three.get(at).copied().unwrap_or(0)));
        for letter in 0..4 {
            let code = LETTERS[word >> (18 - 6 * letter) & 63];
            text.push(if letter <= three.len() { char::from(code) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Address, base64, unescape};

    #[test]
    fn credentials_leave_the_address() {
        let address = Address::parse("http://us%40er:pa:ss%2@10.0.0.7:81/video?token=secret").unwrap();
        assert_eq!(address.url, "http://10.0.0.7:81/video?token=secret");
        assert_eq!(address.name(), "http stream http://10.0.0.7:81/video");
        assert_eq!(address.authorization.unwrap(), format!("Basic {}", base64(b"us@er:pa:ss%2")));
        let plain = Address::parse("HTTP://camera").unwrap();
        assert_eq!((plain.url.as_str(), plain.authorization), ("http://camera", None));
        for bad in ["https://camera/", "camera", "http://", "http://user@/", "http://a b/", "http:/ö", "http://ö/", ""]
        {
            assert!(Address::parse(bad).is_err_and(|error| error.code() == "source-refused"), "{bad}");
        }
        assert_eq!(unescape("%41%zz%"), b"A%zz%");
    }

    /// The examples of RFC 4648, section 10.
    #[test]
    fn base64_is_that_of_the_standard() {
        let texts = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        for (length, text) in texts.into_iter().enumerate() {
            assert_eq!(base64(&b"foobar"[..length]), text);
        }
    }
}
