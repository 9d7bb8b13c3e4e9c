//! Loads the settings from all layers and checks them together. Reads the configuration and password files.

use super::keys::{Key, nearest_env, nearest_preset};
use super::layers::{FlagValues, Layers, Origin, finding, parse};
use super::secret::{Secret, SecretUrl};
use super::settings::{KEYS, Settings};
use super::units::ByteSize;
use super::value::Raw;
use crate::model::{Failure, Finding, Side};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The variable that names the configuration file.
const CONFIG_ENV: &str = "REDIS2PG_CONFIG";

impl Settings {
    /// Loads the settings: defaults < preset < file < environment < flags. `presets` are `(name, TOML text)`;
    /// `also` finds what is wrong beyond the settings themselves, such as with the mappings.
    ///
    /// # Errors
    /// Every finding at once, each with the place that it is about. None holds a secret.
    pub fn load(
        flags: FlagValues,
        env: impl Iterator<Item = (OsString, OsString)>,
        presets: &[(&str, &'static str)],
        also: &dyn Fn(&Self) -> Vec<Finding>,
    ) -> Result<Self, Vec<Finding>> {
        let mut findings = Vec::new();
        let env = Env::read(env, &mut findings);
        let config = flags.config.or_else(|| env.config.clone());
        let file = config.map(|path| read_config(&path, &mut findings)).unwrap_or_default();

        // Which preset it is can be said by the layers above it.
        let mut naming = Layers::defaults();
        for (key, (raw, origin)) in &file.values {
            naming.set(key, raw.clone(), origin.clone());
        }
        over(&mut naming, &env, &flags.values);
        let mut layers = Layers::defaults();
        for (key, variable, raw) in env.fallbacks.iter().cloned() {
            layers.set(key, raw, Origin::Fallback(variable));
        }
        if let Some((name, origin)) = naming.text("run.preset") {
            match presets.iter().find(|(known, _)| *known == name) {
                Some((_, text)) => layers.lay(parse(text, &|_| Origin::Preset(name.to_owned()), &mut findings)),
                None => {
                    let message = format!("there is no preset \"{name}\"");
                    findings.push(finding("run.preset", origin, &message, &nearest_preset(presets, name)));
                }
            }
        }
        layers.lay(file);
        over(&mut layers, &env, &flags.values);
        let mut settings = Self::build(layers, &mut findings);
        settings.fit_batch();
        settings.read_passwords(&mut findings);
        settings.check(&mut findings);
        findings.extend(also(&settings));
        if findings.is_empty() { Ok(settings) } else { Err(findings) }
    }

    /// The URL of Redis.
    ///
    /// # Errors
    /// Where nothing names it.
    pub fn require_source(&self) -> Result<&SecretUrl, Failure> {
        self.source.url.as_ref().ok_or_else(|| {
            Failure::usage(Side::Settings, "no Redis given", "use --from redis://host:6379/0, or set REDIS_URL")
        })
    }

    /// The URL of PostgreSQL.
    ///
    /// # Errors
    /// Where nothing names it.
    pub fn require_target(&self) -> Result<&SecretUrl, Failure> {
        self.target.url.as_ref().ok_or_else(|| {
            let hint = "use --to postgres://user@host/database, or set DATABASE_URL";
            Failure::usage(Side::Settings, "no PostgreSQL given", hint)
        })
    }

    /// Settings for the ledger and reports: by section, then name, with `***` for every secret; and the mappings.
    pub fn redacted_json(&self) -> Value {
        let mut sections: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        for (path, value) in self.shown() {
            if let Some((section, name)) = path.split_once('.') {
                sections.entry(section).or_default().insert(name.to_owned(), value);
            }
        }
        let mut all: Map<String, Value> =
            sections.into_iter().map(|(section, values)| (section.to_owned(), values.into())).collect();
        let mappings = self.mappings.iter().map(|mapping| serde_json::to_value(&mapping.table).unwrap_or_default());
        all.insert("mappings".to_owned(), mappings.collect());
        all.into()
    }

    fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }

    /// A batch size that nobody asked for gives way to a small memory.
    fn fit_batch(&mut self) {
        if self.origin("flow.batch_bytes") == Origin::Default {
            let flow = &mut self.flow;
            flow.batch_bytes = flow.batch_bytes.min(ByteSize(flow.memory.0 / 4));
        }
    }

    fn read_passwords(&mut self, findings: &mut Vec<Finding>) {
        let ends = [
            ("source", &mut self.source.password, &self.source.password_file),
            ("target", &mut self.target.password, &self.target.password_file),
        ];
        for (end, password, file) in ends {
            let Some(path) = file else { continue };
            let key = format!("{end}.password_file");
            let origin = self.origins.get(key.as_str()).cloned().unwrap_or(Origin::Default);
            if password.is_some() {
                let hint = "leave one of them out";
                findings.push(finding(&key, &origin, &format!("{end}.password is set too"), hint));
                continue;
            }
            match std::fs::read_to_string(path) {
                Ok(text) => {
                    let line = text.strip_suffix('\n').unwrap_or(&text);
                    *password = Some(Secret::new(line.strip_suffix('\r').unwrap_or(line)));
                }
                Err(error) => {
                    let message = format!("{} cannot be read: {error}", path.display());
                    findings.push(finding(&key, &origin, &message, "check the path and its rights"));
                }
            }
        }
    }

    /// Checks that look at two settings.
    fn check(&self, findings: &mut Vec<Finding>) {
        let flow = &self.flow;
        // 0 stands for a memory that was refused already.
        if flow.memory.0 > 0 && flow.batch_bytes > flow.memory {
            let message = format!("{} is more than flow.memory, {}", flow.batch_bytes, flow.memory);
            let hint = "a quarter of the memory is a good size for a batch";
            findings.push(finding("flow.batch_bytes", &self.origin("flow.batch_bytes"), &message, hint));
        }
        let run = &self.run;
        if run.dry_run && run.resume {
            let message = "a dry run has nothing to resume";
            findings.push(finding("run.resume", &self.origin("run.resume"), message, "leave one of them out"));
        }
        if run.keys.is_some() && run.keys_from.is_some() {
            let message = "run.keys is set too";
            findings.push(finding("run.keys_from", &self.origin("run.keys_from"), message, "leave one of them out"));
        }
        let part = [
            ("run.keys", run.keys.is_some()),
            ("run.keys_from", run.keys_from.is_some()),
            ("run.limit", run.limit.is_some()),
        ];
        for (name, _) in part.iter().filter(|(_, given)| run.delete_gone && *given) {
            let message = format!("{name} is set too: only a run that looks at all keys can tell which are gone");
            findings.push(finding(
                "run.delete_gone",
                &self.origin("run.delete_gone"),
                &message,
                "leave one of them out",
            ));
        }
        if run.delete_expired && !run.delete_gone {
            let message = "run.delete_gone is off, without which no row is deleted";
            findings.push(finding("run.delete_expired", &self.origin("run.delete_expired"), message, "set both"));
        }
        if self.cleanup.after_run && !self.validation.after_run {
            let message = "validation.after_run is off: keys go only once the run's validation has passed";
            let origin = self.origin("cleanup.after_run");
            findings.push(finding("cleanup.after_run", &origin, message, "set both"));
        }
        // Without mappings there is nothing to compare with: a run without mappings is refused elsewhere.
        for name in &self.phases.skip {
            let known: Vec<&str> = self.mappings.iter().filter_map(|mapping| mapping.name()).collect();
            if !known.is_empty() && !known.contains(&name.as_str()) {
                let message = format!("there is no mapping \"{name}\"");
                let hint = format!("the mappings are: {}", known.join(", "));
                findings.push(finding("phases.skip", &self.origin("phases.skip"), &message, &hint));
            }
        }
    }
}

fn over(layers: &mut Layers, env: &Env, flags: &BTreeMap<&'static str, Raw>) {
    for (key, variable, raw) in env.values.iter().cloned() {
        layers.set(key, raw, Origin::Env(variable));
    }
    for (path, raw) in flags {
        let flag = Key::find(path).map_or(*path, |key| key.flag);
        layers.set(path, raw.clone(), Origin::Flag(format!("--{flag}")));
    }
}

fn read_config(path: &Path, findings: &mut Vec<Finding>) -> super::layers::Layer {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let name = path.display().to_string();
            parse(&text, &|line| Origin::File { path: name.clone(), line }, findings)
        }
        Err(error) => {
            let message = format!("{} cannot be read: {error}", path.display());
            findings.push(Finding::critical(Side::Settings, "--config", message, "check the path and its rights"));
            super::layers::Layer::default()
        }
    }
}

/// What the environment says: `(key, variable, value)`.
#[derive(Default)]
struct Env {
    config: Option<PathBuf>,
    values: Vec<(&'static str, String, Raw)>,
    fallbacks: Vec<(&'static str, String, Raw)>,
}

impl Env {
    /// Sorts the variables. An empty one counts as not set, as is the custom.
    fn read(env: impl Iterator<Item = (OsString, OsString)>, findings: &mut Vec<Finding>) -> Self {
        let mut all = Self::default();
        for (name, value) in env {
            let Some(name) = name.to_str() else { continue };
            let fallback = KEYS.iter().find(|key| key.fallback_env() == Some(name));
            if value.is_empty() || (fallback.is_none() && !name.starts_with("REDIS2PG_")) {
                continue;
            }
            if name == CONFIG_ENV {
                all.config = Some(value.into());
                continue;
            }
            let Ok(value) = value.into_string() else {
                findings.push(Finding::critical(Side::Settings, name, "is not UTF-8", "write it in UTF-8"));
                continue;
            };
            match (fallback, Key::by_env(name)) {
                (Some(key), _) => all.fallbacks.push((key.path, name.to_owned(), Raw::Text(value))),
                (None, Some(key)) => all.add(key, name, value, findings),
                (None, None) => {
                    let message = "there is no such setting";
                    findings.push(Finding::critical(Side::Settings, name, message, nearest_env(name)));
                }
            }
        }
        all
    }

    fn add(&mut self, key: &'static Key, name: &str, value: String, findings: &mut Vec<Finding>) {
        let raw = Raw::Text(value);
        match self.values.iter().find(|(path, _, _)| *path == key.path) {
            Some((_, other, old)) if *old != raw => {
                let message = format!("says something else than {other}");
                findings.push(Finding::critical(Side::Settings, name, message, "leave one of them out"));
            }
            Some(_) => {}
            None => self.values.push((key.path, name.to_owned(), raw)),
        }
    }
}
