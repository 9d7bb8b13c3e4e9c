//! Mistakes that people make in mappings, one at a time: each is told once, with its line, the setting and a hint.

use crate::config::{FlagValues, Settings};
use crate::job::check_mappings;
use crate::model::Finding;

const FILE: &str = r#"
[[mapping]]
name = "docs"
match = "doc:{id}"
type = "string"
into = "public.docs"
key = ["id"]
create = true

[[mapping.column]]
name = "id"
type = "text"
from = "{id}"

[[mapping.column]]
name = "title"
type = "text"
from = "$.title"

[[mapping.column]]
name = "at"
type = "timestamptz"
from = "$.at"
"#;

fn findings(file: &str) -> Vec<Finding> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    std::fs::write(&path, file).unwrap();
    let flags = FlagValues { config: Some(path), ..FlagValues::default() };
    Settings::load(flags, std::iter::empty(), &[], &check_mappings).err().unwrap_or_default()
}

/// What is found where `from` is written as `to`: each part is in one message, and that one names the line that has the
/// part before it.
fn told(from: &str, to: &str, expected: &[(&str, &str)]) {
    let file = FILE.replacen(from, to, 1);
    assert_ne!(file, FILE, "{from}");
    let found = findings(&file);
    assert_eq!(found.len(), expected.len(), "{to}: {found:#?}");
    for (finding, (line, part)) in found.iter().zip(expected) {
        let text = finding.to_string();
        assert!(text.contains(part), "{to}: {text} has no {part}");
        assert!(!finding.hint.is_empty(), "no hint: {text}");
        let place = finding.place.as_ref().and_then(|place| place.line).unwrap_or_else(|| panic!("no line: {text}"));
        let written = file.lines().nth(place - 1).unwrap();
        assert!(written.starts_with(line), "{text} is said of {written}");
    }
}

#[test]
fn a_sound_mapping_has_no_findings() {
    assert_eq!(findings(FILE), []);
}

#[test]
fn what_a_mapping_says() {
    for (from, to, line, part) in [
        ("name = \"docs\"\n", "", "[[mapping]]", "such as `name = \"profiles\"`"),
        ("name = \"docs\"", "name = \"\"", "name", "`name` is empty"),
        ("into = \"public.docs\"\n", "", "[[mapping]]", "such as `into = \"public.profiles\"`"),
        ("\"public.docs\"", "\"docs\"", "into", "with its schema"),
        ("\"public.docs\"", "\"app.public.docs\"", "into", "a table by the name of \"public.docs\""),
        ("[\"id\"]", "[\"idd\"]", "key", "Did you mean id?"),
        ("[\"id\"]", "\"id, at\"", "key", "[\"id\", \"at\"]"),
        ("doc:{id}", "doc:{id", "match", "`match`: `doc:{id`: a `{` is not closed"),
        ("create = true", "create = true\ndecode = [\"base64?\", \"json\"]", "decode", "`decode`: `base64?`"),
        ("create = true", "create = true\nmin_ttl = \"0s\"", "min_ttl", "`min_ttl` of 0"),
        ("create = true", "create = true\nmin_ttl = 10", "min_ttl", "`min_ttl = \"10s\"`"),
        ("create = true", "create = true\nafter = [\"doc\"]", "after", "Did you mean docs?"),
        ("create = true", "create = true\nafter = \"docs\"", "after", "`after` leads back"),
        ("create = true", "create = true\nparents = [\"docs\"]", "parents", "a table is wanted, not the text \"docs\""),
        ("create = true", "create = true\nlineage = \"legder\"", "lineage", "not the text \"legder\""),
        ("create = true", "create = true\nlineage = { colum = \"at\" }", "lineage", "did you mean `column`?"),
        ("create = true", "create = true\nlineage = { columns = { key = \"k\" } }", "lineage", "has no `digest`"),
        (
            "create = true",
            "create = true\nlineage = { column = \"m\", document_id = \"{id}\" }",
            "lineage",
            "which is not among",
        ),
        ("create = true", "create = true\ngrants = { app = [\"SELEKT\"] }", "grants", "did you mean `SELECT`?"),
        ("type = \"string\"", "type = \"module\"", "type", "`redis.dump`"),
    ] {
        told(from, to, &[(line, part)]);
    }
}

#[test]
fn what_becomes_of_elements() {
    let one_row = "`key` holds nothing of the element";
    told("create = true", "create = true\nexplode = true", &[("key", one_row)]);
    told("create = true", "create = true\nremoved_elements = \"keep\"", &[("removed", "Set `explode`")]);
    for (to, line, part) in [
        ("explode = \"lines\"", "explode", "such as `explode = \"$.lines\"`"),
        ("explode = true\nlineage = { column = \"title\", document_id = \"{id}\" }", "explode", "do not go together"),
    ] {
        told("[\"id\"]\n", &format!("[\"id\", \"title\"]\n{to}\n"), &[(line, part)]);
    }
    let whole = "key = [\"id\"]\nexplode = true\ndecode = \"text\"\n";
    let json = "reads JSON, and `decode` ends in text";
    told("key = [\"id\"]\n", whole, &[("from", json), ("from", json), ("explode", "`explode` needs JSON")]);
}

#[test]
fn what_a_column_says() {
    for (to, line, part) in [
        ("from = \"title\"", "from", "a field of the value is `$.title`"),
        ("from = \"redis.keey\"", "from", "did you mean `redis.key`?"),
        ("from = \"{idd}\"", "from", "its captures: `{id}`"),
        ("from = { collect = 5 }", "from", "not the number `5`"),
        ("from = \"element.index\"", "from", "Set `explode`"),
        ("from = \"$.t\"\nwith = \"lowr\"", "with", "did you mean lower?"),
        ("from = \"$.t\"\nwith = 'regex(\"(\")'", "with", "`(` is no regular expression: unclosed group"),
        ("from = \"$.t\"\nwith = { mapp = {} }", "with", "did you mean `map`?"),
    ] {
        told("from = \"$.title\"", to, &[(line, part)]);
    }
    told("name = \"at\"", "name = \"title\"", &[("name", "One column can have several sources")]);
    told("name = \"title\"\n", "", &[("[[mapping.column]]", "column number 2")]);
    let columns = FILE.find("[[mapping.column]]").unwrap();
    let found = findings(&format!("{}column = [\n\"id\",\n\"title\"]\n", &FILE[..columns]));
    let subjects: Vec<&str> = found.iter().map(|finding| finding.subject.rsplit(": ").next().unwrap()).collect();
    assert_eq!(subjects[..2], ["column number 1", "column number 2"], "{found:#?}");
}

#[test]
fn what_does_not_fit_a_type_that_is_stated() {
    for (to, line, part) in [
        ("too_long = \"truncate\"", "too_long", "does nothing for a column of this type"),
        ("formats = \"jackson\"", "formats", "jackson_array"),
        ("assume_timezone = \"Europe/Pari\"", "assume_timezone", "`Europe/Paris`"),
        ("default = \"yesterday\"", "default", "`default` does not fit"),
        ("expect = \"object\"", "expect", "takes no JSON"),
    ] {
        told("from = \"$.at\"", &format!("from = \"$.at\"\n{to}"), &[(line, part)]);
    }
    told("from = \"$.title\"", "from = \"$.title\"\nformats = \"%Y\"", &[("formats", "`formats` does nothing")]);
    told("\"$.at\"", "[\"$.at\", { value = \"x\" }]", &[("from", "the constant x does not fit")]);
    // Whatever the type is, a zone that there is not is none.
    let unknown = "\"app.moment\"\nassume_timezone = \"Pari\"\nformats = [\"jackson\"]";
    told("\"timestamptz\"", unknown, &[("assume_timezone", "`Pari`"), ("formats", "`jackson` is neither")]);
}

#[test]
fn the_archives_name_is_taken_where_there_is_an_archive() {
    let named = FILE.replace("\"docs\"", "\"archive\"");
    assert_eq!(findings(&named), []);
    let found = findings(&format!("{named}\n[run]\nunmatched = \"archive\"\n"));
    assert!(matches!(found.as_slice(), [one] if one.message.contains("the name is the archive's")), "{found:?}");
}
