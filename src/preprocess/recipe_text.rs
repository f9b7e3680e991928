//! The recipe's TOML: the keys as they are written, their defaults, the canonical text.
//! Refuses unknown keys and names the nearest known one.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::recipe::{Channels, Dtype, Filter, Layout, Recipe, RecipeError, Resize, Roi, UNIT};

const KEYS: [&str; 13] = [
    "roi",
    "resize",
    "shorter_side",
    "fill",
    "filter",
    "size",
    "channels",
    "scale",
    "mean",
    "std",
    "layout",
    "dtype",
    "draft",
];

const GREY: [u8; 3] = [114; 3];

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ResizeName {
    None,
    Stretch,
    ShorterSide,
    Letterbox,
}

/// A factor written as a number, or as `"1/255"`.
#[derive(Clone, Copy)]
struct Scale(f64);

impl Serialize for Scale {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.to_bits() == UNIT.to_bits() {
            serializer.serialize_str("1/255")
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Scale {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "scale is a number or \"1/255\"")]
        enum Written {
            Number(f64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(number) => Ok(Self(number)),
            Written::Text(text) if text.replace(' ', "") == "1/255" => Ok(Self(UNIT)),
            Written::Text(text) => {
                Err(serde::de::Error::custom(format!("scale is \"{text}\", expected a number or \"1/255\"")))
            }
        }
    }
}

/// The recipe as written: the order of the fields is the order of the canonical text.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecipeText {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    roi: Option<Roi>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resize: Option<ResizeName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shorter_side: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fill: Option<[u8; 3]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    filter: Option<Filter>,
    size: [u32; 2],
    #[serde(default, skip_serializing_if = "Option::is_none")]
    channels: Option<Channels>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scale: Option<Scale>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mean: Option<Vec<f64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    std: Option<Vec<f64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layout: Option<Layout>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dtype: Option<Dtype>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    draft: Option<bool>,
}

impl RecipeText {
    pub(super) fn parse(text: &str) -> Result<Self, RecipeError> {
        let syntax = |error: toml::de::Error| RecipeError::Syntax { reason: one_line(error.message()) };
        let table: toml::Table = text.parse().map_err(syntax)?;
        if let Some(key) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(RecipeError::UnknownKey { key: one_line(key), hint: hint(key) });
        }
        if !table.contains_key("size") {
            return Err(RecipeError::value("size", "is missing", "give the model's [width, height]"));
        }
        table.try_into().map_err(syntax)
    }

    pub(super) fn render(&self) -> String {
        toml::to_string(self).expect("a recipe holds only numbers, short lists and names, all of which TOML can write")
    }
}

impl TryFrom<RecipeText> for Recipe {
    type Error = RecipeError;

    fn try_from(text: RecipeText) -> Result<Self, RecipeError> {
        let resize = match text.resize.unwrap_or(ResizeName::Stretch) {
            ResizeName::None => Resize::None,
            ResizeName::Stretch => Resize::Stretch,
            ResizeName::ShorterSide => Resize::ShorterSide(text.shorter_side.ok_or_else(|| {
                RecipeError::value("shorter_side", "is missing", "resize = \"shorter-side\" needs it, for instance 256")
            })?),
            ResizeName::Letterbox => Resize::Letterbox(text.fill.unwrap_or(GREY)),
        };
        if text.shorter_side.is_some() && !matches!(resize, Resize::ShorterSide(_)) {
            return Err(RecipeError::value(
                "shorter_side",
                "has no effect",
                "set resize = \"shorter-side\" or leave it out",
            ));
        }
        if text.fill.is_some() && !matches!(resize, Resize::Letterbox(_)) {
            return Err(RecipeError::value("fill", "has no effect", "set resize = \"letterbox\" or leave it out"));
        }
        let channels = text.channels.unwrap_or(Channels::Rgb);
        let dtype = text.dtype.unwrap_or(Dtype::F32);
        let usual_scale = if dtype == Dtype::F32 { UNIT } else { 1.0 };
        Self {
            roi: text.roi,
            resize,
            filter: text.filter.unwrap_or(Filter::Bilinear),
            size: text.size,
            channels,
            scale: text.scale.map_or(usual_scale, |scale| scale.0),
            mean: text.mean.unwrap_or_else(|| vec![0.0; channels.count()]),
            std: text.std.unwrap_or_else(|| vec![1.0; channels.count()]),
            layout: text.layout.unwrap_or(Layout::Nchw),
            dtype,
            draft: text.draft.unwrap_or(false),
        }
        .validated()
    }
}

impl From<Recipe> for RecipeText {
    fn from(recipe: Recipe) -> Self {
        let (resize, shorter_side, fill) = match recipe.resize {
            Resize::None => (ResizeName::None, None, None),
            Resize::Stretch => (ResizeName::Stretch, None, None),
            Resize::ShorterSide(side) => (ResizeName::ShorterSide, Some(side), None),
            Resize::Letterbox(fill) => (ResizeName::Letterbox, None, Some(fill)),
        };
        let float = recipe.dtype == Dtype::F32;
        Self {
            roi: recipe.roi,
            resize: Some(resize),
            shorter_side,
            fill,
            filter: Some(recipe.filter),
            size: recipe.size,
            channels: Some(recipe.channels),
            scale: float.then_some(Scale(recipe.scale)),
            mean: float.then_some(recipe.mean),
            std: float.then_some(recipe.std),
            layout: Some(recipe.layout),
            dtype: Some(recipe.dtype),
            // Left out where it is off: recipes that say nothing of it keep their text.
            draft: recipe.draft.then_some(true),
        }
    }
}

/// Parser messages and foreign keys can span lines and be long; an error is one line of at most 200 characters.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

fn hint(key: &str) -> String {
    let key: String = key.chars().take(40).collect();
    let nearest = KEYS.iter().map(|known| (edits(&key, known), known)).min();
    match nearest {
        Some((distance, known)) if distance <= 2 || known.starts_with(&key) => {
            format!("did you mean `{known}`?")
        }
        _ => format!("the keys are {}", KEYS.join(", ")),
    }
}

/// Levenshtein's distance: the fewest insertions, deletions and substitutions from one word to the other.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &b) in to.iter().enumerate() {
            let substitution = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substitution.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::{edits, hint};

    #[test]
    fn distance_and_hint() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(hint("chanels"), "did you mean `channels`?");
        assert!(hint("zzzzzzzz").starts_with("the keys are roi"));
    }
}
