//! The presets that ship with the tool: each is sound, and the page and the README name each of them.

use crate::config::{FlagValues, Raw, Settings};
use crate::job::{check_mappings, create_statements, mapping_warnings, presets};
use std::collections::BTreeSet;

fn names() -> BTreeSet<&'static str> {
    presets().iter().map(|(name, _)| *name).collect()
}

/// What stands in backticks at the beginning of these.
fn named<'t>(text: &'t str, start: &str) -> BTreeSet<&'t str> {
    text.lines().filter_map(|line| line.strip_prefix(start)?.split('`').next()).collect()
}

#[test]
fn every_preset_is_sound_and_says_how_its_tables_are_made() {
    for (name, text) in presets() {
        let mut flags = FlagValues::default();
        flags.values.insert("run.preset", Raw::Text((*name).to_owned()));
        let settings = Settings::load(flags, std::iter::empty(), presets(), &check_mappings).expect(name);
        assert_eq!(mapping_warnings(&settings), [], "{name}");
        assert!(text.starts_with("# "), "{name}");
        let made = text.matches("create = true").count();
        let tables = create_statements(&settings).unwrap().iter().filter(|made| made.contains("CREATE TABLE")).count();
        assert_eq!((made, tables), if *name == "contract-reviewer" { (0, 0) } else { (settings.mappings.len(), made) });
    }
}

#[test]
fn no_two_presets_have_a_mapping_of_one_name() {
    let mut known = BTreeSet::new();
    for (preset, text) in presets() {
        for mapping in text.split("[[mapping]]\n").skip(1) {
            let name =
                mapping.strip_prefix("name = ").and_then(|text| text.lines().next()).expect("the name stands first");
            assert!(known.insert(name), "{preset}: {name} is the name of another preset's mapping");
        }
    }
    assert!(known.len() > 12, "{known:?}");
}

#[test]
fn the_page_and_the_readme_name_every_preset_and_no_other() {
    let page = include_str!("../../../docs/presets.md");
    assert_eq!(named(page, "| [`"), names());
    let sections: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(sections, names());
    let readme = include_str!("../../../README.md");
    let line = readme.lines().find(|line| line.starts_with("Presets")).expect("the line of presets");
    let listed: BTreeSet<&str> = line.split('`').skip(1).step_by(2).collect();
    assert_eq!(listed, names());
}
