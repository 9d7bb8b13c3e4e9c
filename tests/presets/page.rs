//! docs/presets.md, as it stands: each section has its own servers' databases.

use super::support::{Case, walk};

#[test]
fn each_section_of_the_page_can_be_walked() {
    let page = include_str!("../../docs/presets.md");
    let sections: Vec<&str> = page.split("\n## ").filter(|section| section.contains("```console")).collect();
    let commands: usize = sections.iter().map(|section| walk(&Case::new(), section).1).sum();
    assert!(sections.len() > 8 && commands > 40, "{} sections, {commands} commands", sections.len());
}
