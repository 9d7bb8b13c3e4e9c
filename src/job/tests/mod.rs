//! Mappings as people write them, checked without a server: those of the documentation, and those with mistakes.

mod documentation;
mod mistakes;
