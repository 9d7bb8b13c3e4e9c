//! What governs the flow: how much memory, how fast, until when, and what is kept aside for later.
//!
//! Uses `model` only. Knows neither Redis nor PostgreSQL.

mod backoff;
pub mod budget;
pub mod rate;
pub mod spill;
pub mod stop;
mod stored;
mod watermark;

pub use backoff::Backoff;
pub use budget::{ByteBudget, Permit};
pub use rate::RateLimit;
pub use spill::{KeyReader, KeySpill};
pub use stop::{Level, Stop};
pub use stored::StoredWriter;
pub use watermark::{PagePart, Position, Watermark};
