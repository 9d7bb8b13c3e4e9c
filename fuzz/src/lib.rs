//! The fuzz targets: each gives its bytes to the property of the same name.

#[path = "../properties/mod.rs"]
mod properties;

mod foreign;

/// See the property.
pub fn columns(data: &[u8]) {
    properties::columns::holds(data);
}

/// See the property.
pub fn json(data: &[u8]) {
    properties::json::holds(data);
}

/// See the property.
pub fn moments(data: &[u8]) {
    properties::moments::holds(data);
}

/// See the property.
pub fn patterns(data: &[u8]) {
    properties::patterns::holds(data);
}

/// See the property.
pub fn transcode(data: &[u8]) {
    properties::transcode::holds(data);
}

/// The steps of a chain, held against the C libraries as well.
pub fn chain(data: &[u8]) {
    properties::chain::holds(data, &foreign::PACKERS, &foreign::READERS);
}
