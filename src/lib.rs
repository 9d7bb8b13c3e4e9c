//! Moves a Redis cache into PostgreSQL: a SCAN stream feeds bounded stages that parse, map and COPY, in flat memory.
//!
//! The crate is a library with a thin binary. `docs/design.md` shows the flow and says which room owns what.

pub mod decode;
pub mod encode;
pub mod mapping;
pub mod model;
