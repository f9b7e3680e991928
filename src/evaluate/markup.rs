//! Text as HTML: what comes from outside is escaped here, so that no name can become markup.

use std::fmt::Write as _;

use crate::evaluate::wording::shown;

/// The text with the five characters of markup escaped, and control and direction characters spelled out.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in shown(text).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(c),
        }
    }
    safe
}

/// The PNG as a `data:` URI.
pub(super) fn png_uri(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", base64(png))
}

/// RFC 4648 with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().enumerate().fold(0_u32, |word, (i, &byte)| word | u32::from(byte) << (16 - 8 * i));
        for i in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * i) & 63) as usize];
            text.push(if i > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

/// A table with a caption, a header row, and a header in each row's first cell.
pub(super) struct Table {
    caption: String,
    columns: Vec<String>,
    rows: Vec<(&'static str, Vec<String>)>,
}

impl Table {
    /// The caption and the columns' headers, as text.
    pub(super) fn new(caption: &str, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|column| escaped(column)).collect();
        Self { caption: escaped(caption), columns, rows: Vec::new() }
    }

    /// A row of cells, as text, with a CSS class for the row (or none).
    pub(super) fn row(&mut self, class: &'static str, cells: &[String]) {
        self.rows.push((class, cells.iter().map(|cell| escaped(cell)).collect()));
    }

    /// The markup; empty without rows.
    pub(super) fn html(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let (mut heads, mut body) = (String::new(), String::new());
        // Writing to a String cannot fail, here and below.
        for head in &self.columns {
            let _ = write!(heads, "<th scope=\"col\">{head}</th>");
        }
        for (class, cells) in &self.rows {
            let _ = write!(body, "<tr class=\"{class}\">");
            for (i, cell) in cells.iter().enumerate() {
                let _ = match i {
                    0 => write!(body, "<th scope=\"row\"><bdi>{cell}</bdi></th>"),
                    _ => write!(body, "<td>{cell}</td>"),
                };
            }
            body.push_str("</tr>\n");
        }
        format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\"><table>\
             <caption><span>{caption}</span></caption><thead><tr>{heads}</tr></thead><tbody>\n{body}</tbody></table></div>\n",
            caption = self.caption
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_names_is_text() {
        assert_eq!(
            escaped("<script>\"a\" & 'b'</script>"),
            "&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;&lt;/script&gt;"
        );
    }

    #[test]
    fn base64_by_the_rfc() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        assert_eq!(base64(&[255, 254, 253, 0]), "//79AA==");
    }

    #[test]
    fn tables_escape_their_cells() {
        let mut table = Table::new("a<b", &["x", "y>"]);
        assert!(table.html().is_empty());
        table.row("", &["<i>".to_owned(), "2".to_owned()]);
        let html = table.html();
        assert!(html.contains("a&lt;b") && html.contains("y&gt;") && html.contains("&lt;i&gt;"), "{html}");
    }
}
