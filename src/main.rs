//! The redis2pg command.

fn main() {}
