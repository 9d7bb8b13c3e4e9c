//! The functions by name, and how each is written.

use super::call::Argument::{Number, Text};
use super::call::Call;
use super::{Arguments, Function};
use crate::mapping::FunctionSpec;
use regex::Regex;
use std::sync::Arc;
use uuid::Uuid;

/// Every function as it is written; the name ends at the bracket.
const USAGES: [&str; 27] = [
    "base64_decode",
    "basename",
    "dirname",
    "extension",
    "json",
    "length",
    "lower",
    "md5",
    "mime_type",
    "pad_start(width, 'character')",
    "prefix('text')",
    "regex('pattern') or regex('pattern', group)",
    "replace('from', 'to')",
    "sha256",
    "split('separator', index)",
    "strip_prefix('text')",
    "strip_suffix('text')",
    "substring(start) or substring(start, length)",
    "suffix('text')",
    "text",
    "trim",
    "trim_end",
    "trim_start",
    "upper",
    "url_decode",
    "uuid5('namespace'), where the namespace is a UUID, dns, url, oid or x500",
    "uuid_or_uuid5",
];

/// The widest that `pad_start` makes a text: a slip of the pen should not fill the memory.
const MAX_WIDTH: i64 = 10_000;

impl Function {
    /// Reads a function.
    ///
    /// # Errors
    /// Where there is none of that name, or its arguments are not what it takes.
    pub(in crate::mapping) fn parse(spec: &FunctionSpec) -> Result<Self, String> {
        match spec {
            FunctionSpec::Call(text) => call(text),
            FunctionSpec::Lookup(lookup) => {
                let map = lookup.map.iter().map(|(from, to)| (from.clone(), to.to_string())).collect();
                let default = lookup.default.as_ref().map(ToString::to_string);
                Ok(Self::With(Arc::new(Arguments::Lookup { map, default })))
            }
        }
    }
}

fn call(text: &str) -> Result<Function, String> {
    let parsed = Call::parse(text).map_err(|error| format!("`{text}`: {error}"))?;
    let arguments = match (parsed.name, parsed.arguments.as_slice()) {
        (name, []) if let Some(function) = plain(name) => return Ok(function),
        ("split", [Text(separator), Number(index)]) if !separator.is_empty() => {
            Arguments::Split { separator: separator.clone(), index: *index }
        }
        ("replace", [Text(from), Text(to)]) if !from.is_empty() => {
            Arguments::Replace { from: from.clone(), to: to.clone() }
        }
        ("prefix", [Text(prefix)]) => Arguments::Prefix(prefix.clone()),
        ("suffix", [Text(suffix)]) => Arguments::Suffix(suffix.clone()),
        ("strip_prefix", [Text(prefix)]) => Arguments::StripPrefix(prefix.clone()),
        ("strip_suffix", [Text(suffix)]) => Arguments::StripSuffix(suffix.clone()),
        ("substring", [Number(start)]) => Arguments::Substring { start: *start, length: None },
        ("substring", [Number(start), Number(length)]) if *length > 0 => {
            Arguments::Substring { start: *start, length: usize::try_from(*length).ok() }
        }
        ("pad_start", [Number(width @ 1..=MAX_WIDTH), Text(fill)]) if fill.chars().count() == 1 => {
            let (width, fill) = (*width as usize, fill.chars().next().unwrap_or(' '));
            Arguments::PadStart { width, fill }
        }
        ("regex", [Text(pattern)]) => regex(pattern, |_| Ok(0))?,
        ("regex", [Text(pattern), Number(group)]) => regex(pattern, |regex| {
            let group = usize::try_from(*group).ok().filter(|group| *group < regex.captures_len());
            group.ok_or_else(|| format!("`{text}`: the pattern has the groups 0 to {}", regex.captures_len() - 1))
        })?,
        ("regex", [Text(pattern), Text(group)]) => regex(pattern, |regex| {
            let index = regex.capture_names().position(|name| name == Some(group));
            index.ok_or_else(|| format!("`{text}`: the pattern has no group `{group}`"))
        })?,
        ("uuid5", [Text(name)]) => Arguments::Uuid5(namespace(name).ok_or_else(|| usage_of("uuid5", text))?),
        (name, _) => return Err(usage_of(name, text)),
    };
    Ok(Function::With(Arc::new(arguments)))
}

/// The functions without arguments.
fn plain(name: &str) -> Option<Function> {
    Some(match name {
        "base64_decode" => Function::Base64Decode,
        "basename" => Function::Basename,
        "dirname" => Function::Dirname,
        "extension" => Function::Extension,
        "json" => Function::Json,
        "length" => Function::Length,
        "lower" => Function::Lower,
        "md5" => Function::Md5,
        "mime_type" => Function::MimeType,
        "sha256" => Function::Sha256,
        "text" => Function::Text,
        "trim" => Function::Trim,
        "trim_end" => Function::TrimEnd,
        "trim_start" => Function::TrimStart,
        "upper" => Function::Upper,
        "url_decode" => Function::UrlDecode,
        "uuid_or_uuid5" => Function::UuidOrUuid5,
        _ => return None,
    })
}

fn regex(pattern: &str, group: impl Fn(&Regex) -> Result<usize, String>) -> Result<Arguments, String> {
    let why = |error: regex::Error| {
        // Behind a drawing of the place, the last line says what is wrong.
        let text = error.to_string();
        text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
    };
    let regex = Regex::new(pattern).map_err(|error| format!("`{pattern}` is no regular expression: {}", why(error)))?;
    Ok(Arguments::Regex { group: group(&regex)?, regex })
}

fn namespace(name: &str) -> Option<Uuid> {
    match name {
        "dns" => Some(Uuid::NAMESPACE_DNS),
        "url" => Some(Uuid::NAMESPACE_URL),
        "oid" => Some(Uuid::NAMESPACE_OID),
        "x500" => Some(Uuid::NAMESPACE_X500),
        id => Uuid::try_parse(id).ok(),
    }
}

/// What is wrong with a call whose name or arguments fit no function.
fn usage_of(name: &str, text: &str) -> String {
    let names = || USAGES.iter().map(|usage| (usage.split('(').next().unwrap_or(usage), usage));
    if let Some((_, usage)) = names().find(|(known, _)| *known == name) {
        return format!("`{text}`: it is written {usage}");
    }
    // Names as near as this are slips of the pen.
    const NEAR: f64 = 0.8;
    let near = names().map(|(known, usage)| (strsim::jaro_winkler(known, name), usage));
    match near.filter(|(similarity, _)| *similarity >= NEAR).max_by(|(a, _), (b, _)| a.total_cmp(b)) {
        Some((_, usage)) => format!("there is no function `{name}`; did you mean {usage}?"),
        None => {
            let all: Vec<&str> = names().map(|(known, _)| known).collect();
            format!("there is no function `{name}`; there are {}", all.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Function, FunctionSpec, USAGES};

    fn error(text: &str) -> String {
        Function::parse(&FunctionSpec::Call(text.into())).expect_err("the function should be refused")
    }

    #[test]
    fn every_function_that_is_listed_is_known() {
        for usage in USAGES {
            let name = usage.split('(').next().unwrap();
            match Function::parse(&FunctionSpec::Call(name.into())) {
                Ok(_) => assert_eq!(name, usage, "it takes no arguments"),
                Err(error) => assert_eq!(error, format!("`{name}`: it is written {usage}")),
            }
        }
    }

    #[test]
    fn a_wrong_name_or_argument_is_told_how_it_is_written() {
        assert!(error("lowr").contains("did you mean lower?"));
        assert!(error("splitt(':', 1)").contains("did you mean split('separator', index)?"));
        assert!(error("frobnicate").contains("there are base64_decode, basename"));
        assert!(error("").contains("there is no function ``"));
        for text in ["lower(1)", "split(1, ':')", "split('', 1)", "split(':')", "replace('', 'x')", "substring('a')"] {
            assert!(error(text).contains("it is written"), "{text}");
        }
        for text in
            ["substring(0, 0)", "substring(0, -1)", "pad_start(0, ' ')", "pad_start(3, '')", "pad_start(3, 'ab')"]
        {
            assert!(error(text).contains("it is written"), "{text}");
        }
        assert!(error("pad_start(10001, '0')").contains("it is written"));
        assert!(error("uuid5('nowhere')").contains("dns, url, oid or x500"));
        assert!(error("regex('(', 0)").contains("no regular expression"));
        assert!(error("regex('(a)', 2)").contains("groups 0 to 1"));
        assert!(error("regex('(a)', -1)").contains("groups 0 to 1"));
        assert!(error("regex('(?<y>a)', 'x')").contains("no group `x`"));
        assert!(error("split(':', 1").contains("not closed"));
    }
}
