//! Splits `multipart/x-mixed-replace` into its parts: by their `Content-Length`, else by the end of the JPEG image, which
//! comes before the next boundary does, else by that boundary. Cameras count its dashes in several ways: any number is
//! taken. Refuses parts beyond 64 MB and headers beyond 16 KB.

use crate::camera::MAX_IMAGE;
use crate::camera::jpeg_walk::{Outcome, Walk};
use crate::capture::Moment;

/// Most bytes of one part's header.
const MAX_HEADER: usize = 16 * 1024;

/// What came next.
pub(super) enum Part {
    /// More bytes are needed.
    Short,
    /// A part, copied out, and when it began.
    Whole(Moment),
    /// The closing boundary.
    Closed,
    /// This is no multipart stream any more.
    Broken(&'static str),
}

/// The boundary in a content type; `None` where that is of another kind.
pub(super) fn boundary(kind: &str) -> Option<String> {
    let (kind, parameters) = kind.split_once(';')?;
    let multipart = kind.trim().get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/"));
    let value = parameter(parameters, "boundary").filter(|_| multipart)?;
    let core = value.trim_matches('-');
    (!core.is_empty()).then(|| core.to_owned())
}

/// The value of a parameter, out of its quotes.
fn parameter(mut text: &str, wanted: &str) -> Option<String> {
    loop {
        let (name, rest) = text.split_once('=')?;
        let (value, after) = match rest.trim_start().strip_prefix('"') {
            None => {
                let (value, after) = rest.split_once(';').unwrap_or((rest, ""));
                (value.trim().to_owned(), after)
            }
            Some(quoted) => {
                let (value, length) = unquote(quoted);
                (value, quoted[length..].trim_start().trim_start_matches(';'))
            }
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        text = after;
    }
}

/// Up to the closing quote, with `\` taken as an escape; and how long that was.
fn unquote(text: &str) -> (String, usize) {
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in text.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return (value, at + 1),
            c => {
                value.push(c);
                escaped = false;
            }
        }
    }
    (value, text.len())
}

/// Where in the stream the next byte stands.
enum Place {
    /// Before a boundary; what stands there is no part.
    Outside,
    /// In the header of a part.
    Header,
    /// In a body of known length.
    Counted(usize, Moment),
    /// In a body of unknown length.
    Open(Open),
}

/// A body of unknown length.
#[derive(Clone, Copy)]
struct Open {
    began: Moment,
    /// The image so far; `None` once it proved to be no whole JPEG: then the boundary is all there is.
    walk: Option<Walk>,
    /// Bytes in which no boundary begins.
    searched: usize,
}

/// The bytes that came and how far they were understood.
pub(super) struct Multipart {
    /// `--` and the boundary without dashes around it.
    core: Vec<u8>,
    buffer: Vec<u8>,
    done: usize,
    place: Place,
}

impl Multipart {
    pub(super) fn new(core: &str) -> Self {
        Self { core: core.as_bytes().to_vec(), buffer: Vec::new(), done: 0, place: Place::Outside }
    }

    /// Appends what was read.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.done);
        self.done = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next part, copied into `into`.
    pub(super) fn next(&mut self, into: &mut Vec<u8>) -> Part {
        loop {
            let rest = &self.buffer[self.done..];
            match self.place {
                Place::Outside => match find(rest, &self.core, 0) {
                    Found::At { end, closing, .. } => {
                        self.done += end;
                        self.place = Place::Header;
                        if closing {
                            return Part::Closed;
                        }
                    }
                    Found::Not { searched } => {
                        self.done += searched;
                        return Part::Short;
                    }
                },
                Place::Header => {
                    let Some(length) = header_length(rest) else {
                        let long = rest.len() > MAX_HEADER;
                        return if long { Part::Broken("a part has no end of its header") } else { Part::Short };
                    };
                    let Ok(counted) = content_length(&rest[..length]) else {
                        return Part::Broken("a part has a length that is no number, or above 64 MB");
                    };
                    let began = Moment::now();
                    self.done += length;
                    self.place = match counted {
                        Some(length) => Place::Counted(length, began),
                        None => Place::Open(Open { began, walk: Some(Walk::new()), searched: 0 }),
                    };
                }
                Place::Counted(length, began) => {
                    let Some(body) = rest.get(..length) else { return Part::Short };
                    into.clear();
                    into.extend_from_slice(body);
                    self.done += length;
                    self.place = Place::Outside;
                    return Part::Whole(began);
                }
                Place::Open(open) => return self.open(open, into),
            }
        }
    }

    /// Goes on with a body of unknown length.
    fn open(&mut self, mut open: Open, into: &mut Vec<u8>) -> Part {
        let rest = &self.buffer[self.done..];
        let length = match open.walk.as_mut().map(|walk| walk.go_on(rest)) {
            Some(Outcome::Whole(length)) => Some(length),
            Some(Outcome::Short) => None,
            Some(Outcome::Damaged(..)) | None => {
                open.walk = None;
                None
            }
        };
        // A boundary before the end of the image means that the image was cut short.
        let end = match (find(rest, &self.core, open.searched), length) {
            (Found::At { start, .. }, Some(length)) if start < length => {
                Found::At { start, end: start, closing: false }
            }
            (_, Some(start)) => Found::At { start, end: start, closing: false },
            (found, None) => found,
        };
        match end {
            Found::At { start, .. } => {
                into.clear();
                into.extend_from_slice(&rest[..start]);
                // The boundary is read again, as the beginning of the next part.
                self.done += start;
                self.place = Place::Outside;
                Part::Whole(open.began)
            }
            Found::Not { searched } => {
                self.place = Place::Open(Open { searched, ..open });
                let long = rest.len() > MAX_IMAGE;
                if long { Part::Broken("a part has no end within 64 MB") } else { Part::Short }
            }
        }
    }
}

/// Where a boundary was found.
enum Found {
    /// From the line break before it to behind the one after it.
    At { start: usize, end: usize, closing: bool },
    /// Not before this place; the search may go on from there.
    Not { searched: usize },
}

/// Looks for a line of dashes, the boundary's core, and maybe dashes. The first line needs no line break before it.
fn find(bytes: &[u8], core: &[u8], from: usize) -> Found {
    let mut at = from;
    while let Some(offset) = bytes[at..].windows(2).position(|pair| pair == b"--") {
        let dashes = at + offset;
        let core_at = dashes + bytes[dashes..].iter().take_while(|&&byte| byte == b'-').count();
        let start = line_start(bytes, dashes);
        let tail = &bytes[core_at..];
        // A line longer than the core and a few dashes is none: 80 bytes decide.
        let Some(start) = start.filter(|_| core.starts_with(&tail[..tail.len().min(core.len())])) else {
            at = core_at;
            continue;
        };
        let Some(line) = tail.iter().position(|&byte| byte == b'\n') else {
            let closing = tail.get(core.len()..).is_some_and(|end| end.starts_with(b"--"));
            if closing {
                return Found::At { start, end: bytes.len(), closing };
            }
            if tail.len() < core.len() + 80 {
                return Found::Not { searched: start };
            }
            at = core_at;
            continue;
        };
        let after = tail.get(core.len()..line).unwrap_or_default();
        let closing = after.starts_with(b"--");
        if line >= core.len() && after.iter().all(|byte| matches!(byte, b'-' | b' ' | b'\t' | b'\r')) {
            return Found::At { start, end: core_at + line + 1, closing };
        }
        at = core_at;
    }
    // Line break and first dash may be the end of what has come.
    Found::Not { searched: bytes.len().saturating_sub(3).max(at.min(bytes.len())) }
}

/// The line break before a boundary; the very beginning counts as one.
fn line_start(bytes: &[u8], at: usize) -> Option<usize> {
    match &bytes[..at] {
        [] => Some(0),
        [.., b'\r', b'\n'] => Some(at - 2),
        [.., b'\n'] => Some(at - 1),
        _ => None,
    }
}

/// Bytes up to and with the empty line.
fn header_length(bytes: &[u8]) -> Option<usize> {
    if bytes.starts_with(b"\r\n") {
        return Some(2);
    }
    if bytes.starts_with(b"\n") {
        return Some(1);
    }
    let end = |line: &[u8]| bytes.windows(line.len()).position(|window| window == line).map(|at| at + line.len());
    match (end(b"\r\n\r\n"), end(b"\n\n")) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The length that a header names, if it does; an error where it makes no sense.
fn content_length(header: &[u8]) -> Result<Option<usize>, ()> {
    let text = String::from_utf8_lossy(header);
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let Some((_, value)) = fields.find(|(name, _)| name.trim().eq_ignore_ascii_case("content-length")) else {
        return Ok(None);
    };
    value.trim().parse().ok().filter(|&length| length <= MAX_IMAGE).map(Some).ok_or(())
}

#[cfg(test)]
mod tests {
    use super::{Multipart, Part, boundary};

    #[test]
    fn the_boundary_comes_out_of_its_quotes() {
        for (kind, wanted) in [
            ("multipart/x-mixed-replace; boundary=frame", Some("frame")),
            ("multipart/x-mixed-replace;boundary=--my-boundary", Some("my-boundary")),
            ("Multipart/X-Mixed-Replace; charset=\"a;b=\\\"c\"; Boundary=\"a b;c\"; x=y", Some("a b;c")),
            ("multipart/x-mixed-replace", None),
            ("multipart/x-mixed-replace; boundary=", None),
            ("multipart/x-mixed-replace; boundary=\"--\"", None),
            ("image/jpeg; boundary=frame", None),
            ("", None),
        ] {
            assert_eq!(boundary(kind).as_deref(), wanted, "{kind}");
        }
    }

    /// The parts that come out when the bytes come in pieces of that size, and how it ended.
    fn split(bytes: &[u8], piece: usize) -> (Vec<Vec<u8>>, &'static str) {
        let (mut parts, mut into, mut found) = (Multipart::new("frame"), Vec::new(), Vec::new());
        for bytes in bytes.chunks(piece) {
            parts.push(bytes);
            loop {
                match parts.next(&mut into) {
                    Part::Short => break,
                    Part::Whole(_) => found.push(into.clone()),
                    Part::Closed => return (found, "closed"),
                    Part::Broken(_) => return (found, "broken"),
                }
            }
        }
        (found, "short")
    }

    #[test]
    fn parts_are_whole_whatever_the_pieces() {
        let bodies: [&[u8]; 3] = [b"a\r\n--frames\r\n--fram--", b"\r\n\r\n-- --frame\n-", b"last"];
        for dashes in ["--", "----", "-----"] {
            for (line, counted) in [("\r\n", true), ("\r\n", false), ("\n", true), ("\n", false)] {
                let mut stream = format!("preamble{line}").into_bytes();
                for body in bodies {
                    let length = if counted { format!("Content-length: {}{line}", body.len()) } else { String::new() };
                    stream.extend(format!("{dashes}frame{line}Content-Type: image/jpeg{line}{length}{line}").bytes());
                    stream.extend(body);
                    stream.extend(line.bytes());
                }
                stream.extend(format!("{dashes}frame--").bytes());
                for piece in [1, 2, 3, 10, 1000] {
                    let (found, end) = split(&stream, piece);
                    let found: Vec<&[u8]> = found.iter().map(Vec::as_slice).collect();
                    assert_eq!((found, end), (bodies.to_vec(), "closed"), "{dashes} {line:?} {counted} {piece}");
                }
            }
        }
    }

    #[test]
    fn what_makes_no_sense_ends() {
        for header in ["Content-Length: -1", "Content-Length: 99999999999", "Content-Length: x", "Content-Length:"] {
            assert_eq!(split(format!("--frame\r\n{header}\r\n\r\nabc").as_bytes(), 7), (vec![], "broken"));
        }
        let endless = [b"--frame\r\n".to_vec(), vec![b'x'; 20_000]].concat();
        assert_eq!(split(&endless, 1000), (vec![], "broken"));
        assert_eq!(split(&vec![b'-'; 100_000], 1000), (vec![], "short"));
        assert_eq!(split(b"--frame\r\n\r\nabc\r\n--frame\r\n", 5).0, [b"abc"]);
    }
}
