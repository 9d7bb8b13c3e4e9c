//! Mappings as people write them, checked without a server: those of the documentation, those of the presets, and those with mistakes.

mod documentation;
mod mistakes;
mod presets;
