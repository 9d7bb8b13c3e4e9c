//! `redis2pg config`: its arguments, and the printing of settings, findings and presets.

use super::failure::write_finding;
use super::flags::{Everything, SettingFlags};
use crate::config::{FlagValues, Key, Settings, clean, default_toml, nearest_preset};
use crate::model::{Exit, Failure, Finding, Severity, Side};
use crate::report::{counted, finding_json, plain_table, script};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::io::{self, Write};

/// Arguments of `config`.
#[derive(Debug, clap::Args)]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What `config` can do.
#[derive(Debug, clap::Subcommand)]
pub enum ConfigCommand {
    /// Show every setting, its value and where that came from
    Show(Box<ShowArgs>),
    /// Check the settings from all layers, and list everything that is wrong
    Check(Box<CheckArgs>),
    /// List the presets, or print one, as a file to start from
    Presets {
        /// The preset to print
        #[arg(value_name = "NAME")]
        name: Option<String>,
        /// Print one JSON document
        #[arg(long, conflicts_with = "name")]
        json: bool,
    },
}

/// Arguments of `config show`.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// Print one JSON document
    #[arg(long, conflicts_with = "defaults")]
    pub json: bool,
    /// Print a configuration file with every setting and its default, to start from
    #[arg(long)]
    pub defaults: bool,
    /// All settings.
    #[command(flatten)]
    pub settings: SettingFlags<Everything>,
}

/// Arguments of `config check`.
#[derive(Debug, clap::Args)]
#[command(after_help = CHECK_HELP)]
pub struct CheckArgs {
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
    /// All settings.
    #[command(flatten)]
    pub settings: SettingFlags<Everything>,
}

const CHECK_HELP: &str = "\
Each end that the settings name is looked at, as at the start of a run: by --from and --to, the file, or the environment, \
REDIS_URL and DATABASE_URL among it. Nothing is left behind in either. With one of them that one is looked at, with none \
the settings alone are checked.

Exit codes: 0 nothing forbids a run (warnings may be told) · 2 settings, rights, tables, or no matching key · 5 Redis \
cannot be reached · 6 PostgreSQL cannot be reached or takes no writes; the first that applies. 7 the check was stopped \
before its end, whatever it found.";

impl ConfigArgs {
    pub(super) fn flags(&self) -> &FlagValues {
        static NONE: FlagValues = FlagValues { config: None, values: std::collections::BTreeMap::new() };
        match &self.command {
            ConfigCommand::Show(args) => &args.settings.values,
            ConfigCommand::Check(args) => &args.settings.values,
            ConfigCommand::Presets { .. } => &NONE,
        }
    }
}

/// Does `config show`: every setting with its value, without secrets, and where it came from. `statements` would make the
/// tables of the mappings, were none there.
///
/// # Errors
/// Where `out` cannot be written.
pub fn show(out: &mut dyn Write, settings: &Settings, statements: &[String], args: &ShowArgs) -> io::Result<()> {
    if args.defaults {
        return out.write_all(default_toml().as_bytes());
    }
    if args.json {
        let mut shown = settings.redacted_json();
        if let (Some(members), false) = (shown.as_object_mut(), statements.is_empty()) {
            members.insert("create_statements".to_owned(), json!(statements));
        }
        serde_json::to_writer_pretty(&mut *out, &shown)?;
        return writeln!(out);
    }
    let rows = settings.shown().into_iter().map(|(path, value)| {
        let origin = settings.origins.get(path).map(ToString::to_string).unwrap_or_default();
        let env = Key::find(path).map(|key| key.short_env().unwrap_or_else(|| key.env())).unwrap_or_default();
        vec![path.to_owned(), clean(&plain(&value)), clean(&origin), env]
    });
    writeln!(out, "{}", plain_table(&["setting", "value", "from", "environment"], rows))?;
    for mapping in &settings.mappings {
        let name = mapping.name().unwrap_or("(without a name)");
        writeln!(out, "mapping {} ({})", clean(name), clean(&mapping.origin.to_string()))?;
    }
    if !statements.is_empty() {
        writeln!(out, "\nTables that are missing are made by these; a dry run shows which are:\n")?;
        script(statements).lines().try_for_each(|line| writeln!(out, "{}", clean(line)))?;
    }
    Ok(())
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What `config check` has to tell.
pub struct CheckView<'a> {
    /// Everything that was found.
    pub findings: &'a [Finding],
    /// What to exit with.
    pub exit: Exit,
    /// The ends that were looked at, without secrets.
    pub ends: &'a [String],
    /// Which version of the ledger the target has, where one was reached.
    pub ledger: Option<&'a str>,
    /// Whether what was looked at is what a dry run takes.
    pub dry_run: bool,
}

/// Does `config check`: every finding, critical ones first, and how many there are, or that all is well.
///
/// # Errors
/// Where `out` cannot be written.
pub fn check(out: &mut dyn Write, view: &CheckView<'_>, json: bool) -> io::Result<()> {
    // What the settings tell by themselves, the look may have told again.
    let told_before = |at: usize, finding: &Finding| view.findings.iter().take(at).any(|earlier| earlier == finding);
    let findings = view.findings.iter().enumerate().filter(|(at, finding)| !told_before(*at, finding));
    let mut findings: Vec<&Finding> = findings.map(|(_, finding)| finding).collect();
    findings.sort_by_key(|finding| Reverse(finding.severity));
    if json {
        let list: Vec<Value> = findings.into_iter().map(finding_json).collect();
        let told = json!({
            "ok": view.exit == Exit::Done, "exit_code": view.exit.code(), "ends": view.ends, "ledger": view.ledger,
            "findings": list,
        });
        serde_json::to_writer_pretty(&mut *out, &told)?;
        return writeln!(out);
    }
    for finding in &findings {
        write_finding(out, "", finding)?;
    }
    if let Some(ledger) = view.ledger {
        writeln!(out, "{}.", clean(ledger))?;
    }
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Critical).count();
    let notes = findings.iter().filter(|finding| finding.severity == Severity::Note).count();
    let mut counts = format!(
        "{}, {}",
        counted(errors as i64, "error"),
        counted((findings.len() - errors - notes) as i64, "warning")
    );
    if notes > 0 {
        counts = format!("{counts}, {}", counted(notes as i64, "note"));
    }
    let run = if view.dry_run { "dry run" } else { "run" };
    let ends: Vec<String> = view.ends.iter().map(|end| clean(end)).collect();
    if view.exit == Exit::Stopped {
        let ends = ends.join(" and ");
        return writeln!(out, "{counts}. Stopped before all of {ends} was looked at: the check is not finished.");
    }
    match (errors, ends.is_empty()) {
        (0, true) => writeln!(out, "The settings are sound."),
        (0, false) => writeln!(out, "{counts}. Looked at {}: nothing forbids a {run}.", ends.join(" and ")),
        (_, true) => writeln!(out, "{counts}. No server was looked at."),
        (_, false) => writeln!(out, "{counts}. Looked at {}: a {run} would be refused.", ends.join(" and ")),
    }
}

/// For `config presets NAME`: its text as it is, which is a configuration file. `presets` are `(name, TOML text)`.
///
/// # Errors
/// Where there is no such preset.
pub fn preset_text<'p>(presets: &'p [(&str, &str)], name: &str) -> Result<&'p str, Failure> {
    if let Some((_, text)) = presets.iter().find(|(known, _)| *known == name) {
        return Ok(text);
    }
    Err(Failure::usage(
        Side::Settings,
        format!("there is no preset \"{}\"", clean(name)),
        nearest_preset(presets, name),
    ))
}

/// Does `config presets`: the names, each with the first comment of its text. `presets` are `(name, TOML text)`.
///
/// # Errors
/// Where `out` cannot be written.
pub fn presets(out: &mut dyn Write, presets: &[(&str, &str)], json: bool) -> io::Result<()> {
    let about = |text: &str| {
        let comment = text.lines().find_map(|line| line.strip_prefix('#')).unwrap_or_default();
        comment.trim().to_owned()
    };
    if json {
        let list: Vec<Value> = presets.iter().map(|(name, text)| json!({"name": name, "about": about(text)})).collect();
        serde_json::to_writer_pretty(&mut *out, &list)?;
        return writeln!(out);
    }
    let rows = presets.iter().map(|(name, text)| vec![(*name).to_owned(), clean(&about(text))]);
    writeln!(out, "{}", plain_table(&["preset", "what it moves"], rows))
}

#[cfg(test)]
mod tests {
    use super::{CheckView, check};
    use crate::config::{FlagValues, Raw, Settings};
    use crate::model::{Exit, Finding, Side};
    use serde_json::{Value, json};

    #[test]
    fn a_finding_has_its_file_and_line_as_fields() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        std::fs::write(&path, "[flow]\n\nmemry = 1\n").unwrap();
        let values = [("flow.writers", Raw::Text("many".to_owned()))].into();
        let flags = FlagValues { config: Some(path.clone()), values };
        let findings = Settings::load(flags, std::iter::empty(), &[], &|_| Vec::new()).unwrap_err();
        let mut out = Vec::new();
        let view = CheckView { findings: &findings, exit: Exit::Usage, ends: &[], ledger: None, dry_run: false };
        assert!(check(&mut out, &view, true).is_ok());
        let printed: Value = serde_json::from_slice(&out).unwrap();
        let (file, flag) = (&printed["findings"][0], &printed["findings"][1]);
        assert_eq!((&file["subject"], &file["file"]), (&json!("flow.memry"), &json!(path)));
        assert_eq!((&file["line"], &file["from"]), (&json!(3), &json!(format!("{}:3", path.display()))));
        let of_flag = ["subject", "from", "file", "line"].map(|name| flag[name].clone());
        assert_eq!(of_flag, [json!("flow.writers"), json!("--writers"), Value::Null, Value::Null]);
        assert_eq!((&printed["ok"], &printed["exit_code"]), (&json!(false), &json!(2)));
    }

    #[test]
    fn findings_are_told_by_how_bad_they_are_and_counted() {
        let warning = Finding::warning(Side::Settings, "mapping b", "is large", "Make it smaller.");
        let error = Finding::critical(Side::Redis, "source", "redis://u:hunter2@h is gone", "");
        let told = |findings: &[Finding], exit, ends: &[String], json: bool| {
            let mut out = Vec::new();
            check(&mut out, &CheckView { findings, exit, ends, ledger: None, dry_run: false }, json).unwrap();
            String::from_utf8(out).unwrap()
        };
        let warned = "warning: settings mapping b: is large\n  hint: Make it smaller.\n";
        let one = [warning.clone()];
        assert_eq!(told(&one, Exit::Done, &[], false), format!("{warned}The settings are sound.\n"));
        let ends = ["redis://h:1/0".to_owned()];
        let sound = told(&one, Exit::Done, &ends, false);
        assert_eq!(sound, format!("{warned}0 errors, 1 warning. Looked at redis://h:1/0: nothing forbids a run.\n"));
        let note = Finding::note(Side::Redis, "cleanup", "comes later", "");
        let noted = told(&[note, warning.clone()], Exit::Done, &ends, false);
        let counts = "0 errors, 1 warning, 1 note. Looked at redis://h:1/0: nothing forbids a run.";
        assert_eq!(noted, format!("{warned}note: redis cleanup: comes later\n{counts}\n"));
        let mut out = Vec::new();
        check(
            &mut out,
            &CheckView { findings: &one, exit: Exit::Done, ends: &ends, dry_run: true, ledger: None },
            false,
        )
        .unwrap();
        assert!(String::from_utf8(out).unwrap().ends_with("nothing forbids a dry run.\n"));
        let both = [warning.clone(), error, warning];
        let refused = told(&both, Exit::Redis, &ends, false);
        let first = "error: redis source: redis://u:***@h is gone\n";
        assert_eq!(
            refused,
            format!("{first}{warned}1 error, 1 warning. Looked at redis://h:1/0: a run would be refused.\n")
        );
        let document: Value = serde_json::from_str(&told(&both, Exit::Redis, &ends, true)).unwrap();
        assert_eq!(
            (&document["ok"], &document["exit_code"], &document["ends"]),
            (&json!(false), &json!(5), &json!(ends))
        );
        assert_eq!(
            (&document["findings"][0]["side"], &document["findings"][1]["severity"]),
            (&json!("redis"), &json!("warning"))
        );
        assert!(!document.to_string().contains("hunter2"));
    }
}
