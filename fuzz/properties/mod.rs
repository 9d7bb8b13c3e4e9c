//! What must hold for any input: one module for each fuzz target.
//!
//! The fuzz targets and the replay in the product's tests share this. Each `holds` takes the bytes of one input and panics
//! where the product does what it must not. Nothing here is taken from the product: what it is judged by is written anew,
//! as plainly as can be, or comes from another library.
//!
//! An input is text as far as possible: lines with settings, then what is read. So corpus files can be read and written by
//! hand.

pub(crate) mod chain;
pub(crate) mod columns;
pub(crate) mod json;
pub(crate) mod moments;
pub(crate) mod patterns;
pub(crate) mod transcode;

mod columns_read;
mod columns_settings;
mod glob;
mod lines;
mod moments_written;
mod node;
mod node_reader;
mod pattern_reader;
mod php;
mod rows;
mod spans;
