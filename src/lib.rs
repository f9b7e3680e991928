//! Tells whether a product image lies inside the feature space that a trained classifier learned.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::float_cmp,
        reason = "a test fails by panicking, and may ask for a value exactly"
    )
)]

pub mod alert;
pub mod backbone;
pub mod camera;
pub mod capture;
pub mod config;
pub mod detector;
pub mod device;
pub mod digest;
#[cfg(feature = "office")]
pub mod evaluate;
pub mod event;
#[cfg(feature = "office")]
pub mod fit;
pub mod frame;
pub mod heat_map;
pub mod image_file;
pub mod image_folder;
pub mod intake;
pub mod journal;
#[cfg(feature = "office")]
pub mod method;
#[cfg(feature = "office")]
pub mod parts;
pub mod preprocess;
#[cfg(feature = "office")]
pub mod quantise;
#[cfg(feature = "office")]
pub mod seed;
pub mod shelf;
pub mod status;
pub mod watch;
pub mod web;
pub mod workers;
