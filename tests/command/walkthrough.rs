//! docs/walkthrough.md, as it stands.

use crate::support;

use support::{Case, walk};

#[test]
fn the_walk_through_can_be_walked() {
    let (files, commands) = walk(&Case::new(), include_str!("../../docs/walkthrough.md"));
    assert!(files > 4 && commands > 40, "{files} files, {commands} commands");
}
