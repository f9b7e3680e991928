//! The images worth looking at, with pictures where the caller gives some.
//! Pictures travel inside the page; nothing is loaded from anywhere.

use crate::evaluate::evaluation::Example;
use crate::evaluate::markup::{escaped, png_uri};
use crate::evaluate::wording::{number, tail};

/// A small picture for the report, found by the path of the example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbnail {
    /// As in [`Example::path`].
    pub path: String,
    /// The image as PNG.
    pub png: Vec<u8>,
    /// The heat map over it as PNG, where there is one.
    pub heat: Option<Vec<u8>>,
}

/// A list of figures; empty without examples.
pub(super) fn gallery(examples: &[Example], thumbnails: &[Thumbnail]) -> String {
    if examples.is_empty() {
        return String::new();
    }
    let figures: String = examples.iter().map(|example| figure(example, thumbnails)).collect();
    format!("<ul class=\"gallery\">\n{figures}</ul>\n")
}

fn figure(example: &Example, thumbnails: &[Thumbnail]) -> String {
    let pictures =
        thumbnails.iter().find(|thumbnail| thumbnail.path == example.path).map_or_else(String::new, |thumbnail| {
            let image = |png: &[u8], what: &str| {
                format!("<img alt=\"{what} {}\" src=\"{}\">", escaped(&tail(&example.path, 60)), png_uri(png))
            };
            let heat = thumbnail.heat.as_ref().map_or_else(String::new, |heat| image(heat, "Heat map of"));
            format!("<div class=\"pair\">{}{heat}</div>", image(&thumbnail.png, "Image"))
        });
    let folder = example.class.as_ref().map_or_else(String::new, |class| format!(", {}", escaped(class)));
    let looks = example
        .predicted
        .as_ref()
        .map_or_else(String::new, |predicted| format!("<br>looks like <bdi>{}</bdi>", escaped(predicted)));
    format!(
        "<li><figure>{pictures}<figcaption><bdi class=\"path\" title=\"{full}\">{path}</bdi><br>\
         <span class=\"call {call}\">{call}</span> score {score} · p {p}<br><bdi>{set}{folder}</bdi>{looks}\
         </figcaption></figure></li>\n",
        full = escaped(&example.path),
        path = escaped(&tail(&example.path, 40)),
        call = example.call.name(),
        score = number(f64::from(example.score)),
        p = number(example.p_value),
        set = escaped(&example.set),
    )
}
