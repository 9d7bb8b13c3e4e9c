//! What is JSON, and what a mapping's policies make of what is not.

mod json;
mod policies;
