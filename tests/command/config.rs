//! The settings as people meet them: layers, mistakes, secrets, and the file that documents the defaults.
#![expect(clippy::unwrap_used, reason = "a test that cannot set its stage has failed")]

use redis2pg::config::{
    ByteSize, FlagValues, KEYS, MappingTable, Origin, Raw, SettingValue, Settings, Staging, default_toml,
};
use redis2pg::model::Finding;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;
use tempfile::TempDir;

const PRESET: &str = "
[flow]
writers = 3
batch_rows = 300
memory = \"300MiB\"

[[mapping]]
name = \"documents\"
match = \"document:{id}\"

[[mapping]]
name = \"sessions\"
match = \"session:{id}\"
";

fn load(file: Option<&str>, env: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Result<Settings, Vec<Finding>> {
    let dir = TempDir::new().unwrap();
    let config = file.map(|text| {
        let path = dir.path().join("test.toml");
        std::fs::write(&path, text).unwrap();
        path
    });
    let values: BTreeMap<&'static str, Raw> =
        flags.iter().map(|(key, text)| (*key, Raw::Text((*text).to_owned()))).collect();
    let env: Vec<(OsString, OsString)> = env.iter().map(|(name, value)| (name.into(), value.into())).collect();
    Settings::load(FlagValues { config, values }, env.into_iter(), &[("contract-reviewer", PRESET)], &|_| Vec::new())
}

/// All findings in one text, as a person reads them.
fn findings(file: Option<&str>, env: &[(&str, &str)], flags: &[(&'static str, &str)]) -> String {
    load(file, env, flags).unwrap_err().iter().map(|finding| format!("{finding}\n")).collect()
}

#[test]
fn each_layer_lies_over_the_one_below() {
    let file = "[run]\npreset = \"contract-reviewer\"\n[flow]\nwriters = 4\nbatch_rows = 400\nbatch_age = \"4s\"";
    let env = [("REDIS2PG_FLOW_WRITERS", "5"), ("REDIS2PG_BATCH_AGE", "5s")];
    let settings = load(Some(file), &env, &[("flow.writers", "6")]).unwrap();
    let flow = &settings.flow;
    assert_eq!(flow.writers, 6, "a flag over the environment");
    assert_eq!(flow.batch_age.to_string(), "5s", "the environment over the file");
    assert_eq!(flow.batch_rows, 400, "the file over the preset");
    assert_eq!(flow.memory, ByteSize(300 << 20), "the preset over the default");
    assert_eq!(settings.target.staging, Staging::Auto, "the default");
    let origin = |key: &str| settings.origins[key].to_string();
    assert_eq!(origin("flow.writers"), "--writers");
    assert_eq!(origin("flow.batch_age"), "REDIS2PG_BATCH_AGE");
    assert!(origin("flow.batch_rows").ends_with("test.toml:5"), "{}", origin("flow.batch_rows"));
    assert_eq!(origin("flow.memory"), "preset contract-reviewer");
    assert_eq!(settings.origins["target.staging"], Origin::Default);
}

#[test]
fn well_known_variables_are_the_last_resort() {
    let env = [("REDIS_URL", "redis://fallback"), ("DATABASE_URL", "postgres://fallback/db")];
    let settings = load(None, &env, &[]).unwrap();
    assert_eq!(settings.require_source().unwrap().expose(), "redis://fallback");
    assert_eq!(settings.require_target().unwrap().expose(), "postgres://fallback/db");
    let settings = load(Some("[source]\nurl = \"redis://file\""), &env, &[]).unwrap();
    assert_eq!(settings.require_source().unwrap().expose(), "redis://file");
    let settings = load(None, &[env[0], ("REDIS2PG_FROM", "redis://from")], &[]).unwrap();
    assert_eq!(settings.require_source().unwrap().expose(), "redis://from");
    assert_eq!(load(None, &[], &[]).unwrap().require_source().unwrap_err().exit.code(), 2);
}

#[test]
fn a_mapping_of_the_file_takes_the_place_of_the_presets() {
    let file = "[run]\npreset = \"contract-reviewer\"\n[[mapping]]\nname = \"sessions\"\nmatch = \"s:{id}\"\n\
                [[mapping]]\nname = \"other\"";
    let settings = load(Some(file), &[], &[("phases.skip", "sessions, other")]).unwrap();
    let names: Vec<_> = settings.mappings.iter().filter_map(MappingTable::name).collect();
    assert_eq!(names, ["documents", "sessions", "other"]);
    assert_eq!(settings.mappings[1].table["match"].as_str(), Some("s:{id}"));
    assert!(settings.mappings[1].origin.to_string().ends_with("test.toml:3"), "{}", settings.mappings[1].origin);
    assert_eq!(settings.phases.skip, ["sessions", "other"]);
    let text = findings(None, &[], &[("phases.skip", "sesions"), ("run.preset", "contract-reviewer")]);
    assert!(text.contains("no mapping \"sesions\"") && text.contains("documents, sessions"), "{text}");
}

#[test]
fn two_mappings_of_one_name_in_one_text_are_refused_with_both_lines() {
    let listed = "[[mapping]]\nname = \"a\"\n[[mapping]]\nname = \"b\"\n[[mapping]]\nname = \"a\"";
    let inline = "mapping = [\n  {name = \"a\"},\n  {name = \"b\"},\n\n  {name = \"a\"},\n]";
    for (text, first, second) in [(listed, 1, 5), (inline, 2, 5)] {
        let all = findings(Some(text), &[], &[]);
        assert_eq!(all.matches("error:").count(), 1, "{all}");
        assert!(all.contains("mapping \"a\"") && all.contains("has the name of another mapping"), "{all}");
        assert!(all.contains(&format!("test.toml:{first})")) && all.contains(&format!("test.toml:{second})")), "{all}");
    }
}

#[test]
fn every_mistake_is_told_at_once_with_its_place_and_the_nearest_name() {
    let file =
        "flows = 1\n[flow]\nmemry = \"64MiB\"\nwriters = 0\nbatch_age = 15\n[sorce]\nurl = \"x\"\n[log]\nmemory = 1";
    let env = [("REDIS2PG_WRITTERS", "2"), ("REDIS2PG_ERRORS_MAX_REJECTS", "many")];
    let flags = [("run.limit", "0"), ("target.compression", "zstd"), ("run.preset", "contract-reviever")];
    let text = findings(Some(file), &env, &flags);
    for (place, message) in [
        ("test.toml:1", "did you mean [flow]?"),
        ("test.toml:3", "did you mean `memory`?"),
        ("test.toml:4", "0 is outside 1 to 64"),
        ("test.toml:5", "\"15\" has no unit of time"),
        ("test.toml:6", "did you mean [source]?"),
        ("test.toml:9", "did you mean `memory` in [flow]?"),
        ("REDIS2PG_WRITTERS", "did you mean REDIS2PG_WRITERS?"),
        ("REDIS2PG_ERRORS_MAX_REJECTS", "\"many\" is neither a whole number"),
        ("--limit", "0 keys is no run"),
        ("--compression", "\"zstd\" is none of default|lz4|pglz"),
        ("--preset", "no preset \"contract-reviever\""),
        ("--preset", "Did you mean contract-reviewer?"),
    ] {
        assert!(text.contains(place), "{place} is missing in:\n{text}");
        assert!(text.contains(message), "{message} is missing in:\n{text}");
    }
    assert_eq!(load(Some(file), &env, &flags).unwrap_err().len(), 11, "{text}");
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    for (flags, message) in [
        ([("run.dry_run", "true"), ("run.resume", "true")], "nothing to resume"),
        ([("flow.memory", "8MiB"), ("flow.batch_bytes", "16MiB")], "16MiB is more than flow.memory, 8MiB"),
        ([("run.keys", "a*"), ("run.keys_from", "keys.txt")], "run.keys is set too"),
    ] {
        let text = findings(None, &[], &flags);
        assert!(text.contains(message), "{text}");
    }
    let text = findings(None, &[("REDIS2PG_WRITERS", "2"), ("REDIS2PG_FLOW_WRITERS", "3")], &[]);
    assert!(text.contains("REDIS2PG_FLOW_WRITERS: says something else than REDIS2PG_WRITERS"), "{text}");
    let text = findings(None, &[], &[("source.url", "http://u:hunter2@h"), ("target.url", "mysql://u:hunter2@h")]);
    assert!(text.contains("write redis://") && text.contains("write postgres://"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_batch_that_nobody_set_shrinks_with_the_memory() {
    let settings = load(None, &[], &[("flow.memory", "8MiB")]).unwrap();
    assert_eq!(settings.flow.batch_bytes, ByteSize(2 << 20));
    let settings = load(None, &[], &[("flow.memory", "1GiB")]).unwrap();
    assert_eq!(settings.flow.batch_bytes, ByteSize(16 << 20));
    assert_eq!(load(None, &[], &[("flow.memory", "3")]).unwrap_err().len(), 1);
}

#[test]
fn a_syntax_error_names_its_line_and_never_quotes_it() {
    let text = findings(Some("[source]\n\npassword = hunter2\nurl = redis://u:hunter2@h\n"), &[], &[]);
    assert!(text.contains("test.toml:3") && !text.contains("hunter2"), "{text}");
}

#[test]
fn no_secret_is_shown_anywhere() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("pw");
    std::fs::write(&file, "hunter2-from-file\n").unwrap();
    let env = [
        ("REDIS2PG_FROM", "redis://:hunter2@h/0"),
        ("DATABASE_URL", "postgres://u:hunter2@h/db?sslpassword=hunter2"),
        ("REDIS2PG_SOURCE_PASSWORD", "hunter2"),
        ("REDIS2PG_TARGET_PASSWORD_FILE", file.to_str().unwrap()),
    ];
    let settings = load(None, &env, &[("run.keys", "postgres://u:hunter2@h")]).unwrap();
    assert_eq!(settings.source.password.as_ref().unwrap().expose(), "hunter2");
    assert_eq!(settings.target.password.as_ref().unwrap().expose(), "hunter2-from-file");
    // The pattern is no secret by its kind, so Debug shows it; what leaves the process is scrubbed.
    let mut without_pattern = settings.clone();
    without_pattern.run.keys = None;
    for shown in [format!("{without_pattern:?}"), settings.redacted_json().to_string()] {
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("***"), "{shown}");
    }
    assert_eq!(settings.redacted_json()["source"]["url"], "redis://:***@h/0");
    assert_eq!(settings.redacted_json()["source"]["password"], "***");
    let flags = FlagValues { config: None, values: [("source.url", Raw::Text("redis://:hunter2@h".into()))].into() };
    assert!(!format!("{flags:?}").contains("hunter2"));
    let text =
        findings(None, &env, &[("source.password_file", "/nonexistent/pw"), ("flow.memory", "redis://u:hunter2@h")]);
    assert!(text.contains("source.password is set too") && !text.contains("hunter2"), "{text}");
}

#[test]
fn a_password_file_that_is_missing_is_a_finding() {
    let text = findings(None, &[], &[("target.password_file", "/nonexistent/pw")]);
    assert!(text.contains("target.password_file (--target-password-file): /nonexistent/pw cannot be read"), "{text}");
}

#[test]
fn the_default_file_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/default.toml");
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(text, default_toml(), "run `redis2pg config show --defaults > config/default.toml`");
    let from_file = load(Some(&text), &[], &[]).unwrap();
    let defaults = load(None, &[], &[]).unwrap();
    assert_eq!(from_file.shown(), defaults.shown());
    let set = from_file.origins.values().filter(|origin| matches!(origin, Origin::File { .. })).count();
    let lists = ["phases.skip", "cleanup.positional", "cleanup.lossy"];
    let with_default = KEYS.iter().filter(|key| !key.default.is_empty() || lists.contains(&key.path)).count();
    assert_eq!(set, with_default, "every default stands in the file, and nothing else");
}

#[test]
fn every_setting_has_names_of_its_own_and_is_documented() {
    let docs = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md")).unwrap();
    let mut flags = BTreeSet::new();
    let mut variables = BTreeSet::new();
    for key in KEYS {
        assert!(key.flag.is_empty() || flags.insert(key.flag), "--{} twice", key.flag);
        for variable in [Some(key.env()), key.short_env()].into_iter().flatten() {
            assert!(variables.insert(variable.clone()), "{variable} twice");
        }
        let default = if key.default.is_empty() { "none".to_owned() } else { format!("`{}`", key.default) };
        let flag = if key.flag.is_empty() { "none".to_owned() } else { format!("`--{}`", key.flag) };
        let row = docs.lines().find(|line| line.starts_with(&format!("| `{}` |", key.path))).unwrap_or_default();
        assert!(row.contains(&format!("| {flag} |")) && row.contains(&format!("| {default} |")), "{}: {row}", key.path);
        assert!(row.contains(&key.env()), "{}: {row}", key.path);
    }
}

#[test]
fn defaults_are_shown_as_they_are_written() {
    let shown: BTreeMap<_, _> = load(None, &[], &[]).unwrap().shown().into_iter().collect();
    for key in KEYS.iter().filter(|key| !key.default.is_empty()) {
        let text = shown[key.path].as_str().map_or_else(|| shown[key.path].to_string(), str::to_owned);
        assert_eq!(text, key.default, "{}", key.path);
    }
    assert_eq!(Option::<u64>::read(&Raw::Text(String::new())), Ok(None));
}
