//! Other forms of data to JSON text: MessagePack and PHP's serialize, where a mapping names them.
//!
//! Both are read once from front to back and written as they are read, without a tree: what they need is bounded by the
//! text that they make. The text is checked as JSON afterwards like any other, so that NaN or a NUL in it are refused or
//! repaired by the same rules.

mod msgpack;
mod php;
#[cfg(test)]
mod tests;
mod writer;

pub(super) use msgpack::from_msgpack;
pub(super) use php::from_php;
