//! `redis2pg config`: its arguments, and the printing of settings, findings and presets.

use super::failure::{clean, write_finding};
use super::flags::{Everything, SettingFlags};
use crate::config::{FlagValues, Key, Settings, default_toml, nearest};
use crate::model::{Exit, Failure, Finding, Severity, Side};
use crate::report::{plain_table, script};
use serde_json::{Value, json};
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
pub struct CheckArgs {
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
    /// All settings.
    #[command(flatten)]
    pub settings: SettingFlags<Everything>,
}

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

/// Does `config check`: every finding, or that all is well, and the warnings. Gives what to exit with.
///
/// # Errors
/// Where `out` cannot be written.
pub fn check(
    out: &mut dyn Write,
    loaded: &Result<Settings, Vec<Finding>>,
    warnings: &[Finding],
    json: bool,
) -> io::Result<Exit> {
    let mistakes = loaded.as_ref().err().map_or(&[][..], Vec::as_slice);
    let findings = mistakes.iter().chain(warnings);
    if json {
        let list: Vec<Value> = findings
            .map(|finding| {
                let file = finding.place.as_ref().filter(|place| place.line.is_some());
                json!({
                    "severity": match finding.severity {
                        Severity::Warning => "warning",
                        Severity::Critical => "error",
                    },
                    "subject": finding.subject,
                    "from": finding.place.as_ref().map(ToString::to_string),
                    "file": file.map(|place| &place.source),
                    "line": file.and_then(|place| place.line),
                    "message": finding.message,
                    "hint": finding.hint,
                })
            })
            .collect();
        serde_json::to_writer_pretty(&mut *out, &json!({"ok": mistakes.is_empty(), "findings": list}))?;
        writeln!(out)?;
    } else {
        for finding in findings {
            write_finding(out, "", finding)?;
        }
        if mistakes.is_empty() {
            writeln!(out, "The settings are sound.")?;
        }
    }
    Ok(if mistakes.is_empty() { Exit::Done } else { Exit::Usage })
}

/// For `config presets NAME`: its text as it is, which is a configuration file. `presets` are `(name, TOML text)`.
///
/// # Errors
/// Where there is no such preset.
pub fn preset_text<'p>(presets: &'p [(&str, &str)], name: &str) -> Result<&'p str, Failure> {
    if let Some((_, text)) = presets.iter().find(|(known, _)| *known == name) {
        return Ok(text);
    }
    let names: Vec<&str> = presets.iter().map(|(name, _)| *name).collect();
    let near = nearest(name, names.iter().copied());
    let hint =
        near.map_or_else(|| format!("The presets are {}.", names.join(", ")), |near| format!("Did you mean {near}?"));
    Err(Failure::usage(Side::Settings, format!("there is no preset \"{}\"", clean(name)), hint))
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
    use super::check;
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
        let loaded = Settings::load(flags, std::iter::empty(), &|_| None, &|_| Vec::new());
        let mut out = Vec::new();
        assert!(check(&mut out, &loaded, &[], true).is_ok());
        let printed: Value = serde_json::from_slice(&out).unwrap();
        let (file, flag) = (&printed["findings"][0], &printed["findings"][1]);
        assert_eq!((&file["subject"], &file["file"]), (&json!("flow.memry"), &json!(path)));
        assert_eq!((&file["line"], &file["from"]), (&json!(3), &json!(format!("{}:3", path.display()))));
        let of_flag = ["subject", "from", "file", "line"].map(|name| flag[name].clone());
        assert_eq!(of_flag, [json!("flow.writers"), json!("--writers"), Value::Null, Value::Null]);
    }

    #[test]
    fn warnings_are_told_and_are_no_mistakes() {
        let settings = || Settings::load(FlagValues::default(), std::iter::empty(), &|_| None, &|_| Vec::new());
        let warning = [Finding::warning(Side::Settings, "mapping b", "is large", "Make it smaller.")];
        let told = |warnings: &[Finding], json: bool| {
            let mut out = Vec::new();
            let exit = check(&mut out, &settings(), warnings, json).unwrap();
            (exit, String::from_utf8(out).unwrap())
        };
        let text = "warning: settings mapping b: is large\n  hint: Make it smaller.\nThe settings are sound.\n";
        assert_eq!(told(&warning, false), (Exit::Done, text.to_owned()));
        let (exit, document) = told(&warning, true);
        let document: Value = serde_json::from_str(&document).unwrap();
        assert_eq!((exit, &document["ok"]), (Exit::Done, &json!(true)));
        assert_eq!(document["findings"][0]["severity"], "warning");
    }
}
