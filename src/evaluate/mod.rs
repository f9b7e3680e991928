//! What an evaluation says once every image has its scores: figures, a plain sentence, text, HTML, pictures.
//! Scores nothing and reads no file; what cannot be computed is left out, not guessed.

mod conclusion;
mod contrast;
mod curve;
mod evaluation;
mod figures;
mod gallery;
mod lettering;
mod markup;
mod page;
mod plot;
mod rate;
mod resample;
mod scored;
mod sheet;
mod table;
mod text;
mod wording;

pub use conclusion::verdict_sentence;
pub use evaluation::{
    ClassFigures, Conclusion, Contrast, Evaluation, Example, FORMAT, Fitness, LeftOut, Rate, ScoreFigures, SetFigures,
    VERSION,
};
pub use figures::evaluate;
pub use gallery::Thumbnail;
pub use page::to_html;
pub use resample::thumbnail;
pub use scored::{
    Call, CollapseFigures, Criteria, Fault, ImageSet, Nc5, OperatingPoint, ScoreRow, ScoredImage, ShelfFacts,
};
pub use sheet::{MOST_ENTRIES, SheetEntry, contact_sheet};
pub use text::to_text;
