//! What a mapping says about its values, checked: its chain, its policies, and whether its sources fit them.

use super::Check;
use crate::config::ByteSize;
use crate::decode::{Chain, Decoder, Form, Policies};
use crate::encode::Encoder;
use crate::mapping::candidate::Candidate;
use crate::mapping::source::Source;
use crate::mapping::spec::{ColumnSpec, MappingSpec, SizeSpec};
use crate::mapping::{CandidateSpec, FunctionSpec, ItemForm, LineageSpec, SourceTable};
use crate::model::{Column, ColumnType, RedisType};

/// A mistake: what it concerns in the mapping, what is wrong, and what to do about it.
pub(in crate::mapping) type Mistake = (String, &'static str);

/// Reads how the values of a mapping are decoded.
///
/// # Errors
/// Everything that is wrong with the chain, and every setting that contradicts it.
pub(in crate::mapping) fn decoder(spec: &MappingSpec) -> Result<Decoder, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let max_inflated = max_inflated(spec).unwrap_or_else(|message| {
        mistakes.push((message, "Write a number of bytes above 0, or a text such as \"64MiB\"."));
        Decoder::MAX_INFLATED
    });
    let policies = Policies {
        nul: spec.nul,
        surrogates: spec.surrogates,
        nonfinite: spec.nonfinite,
        invalid_utf8: spec.invalid_utf8,
        duplicate_keys: spec.duplicate_keys.unwrap_or_default(),
        bytes: spec.bytes,
    };
    match Chain::parse(&spec.decode) {
        Ok(chain) => {
            mistakes.extend(contradictions(spec, &chain));
            if mistakes.is_empty() {
                return Ok(Decoder { chain, policies, max_inflated });
            }
        }
        Err(errors) => mistakes.extend(errors.into_iter().map(|error| (error.message, error.hint))),
    }
    Err(mistakes)
}

fn max_inflated(spec: &MappingSpec) -> Result<usize, String> {
    let size = match &spec.max_inflated {
        None => return Ok(Decoder::MAX_INFLATED),
        Some(SizeSpec::Bytes(bytes)) => ByteSize(*bytes),
        Some(SizeSpec::Text(text)) => ByteSize::parse(text).map_err(|error| format!("`max_inflated`: {error}"))?,
    };
    usize::try_from(size.0)
        .ok()
        .filter(|bytes| (1..=isize::MAX as usize / 2).contains(bytes))
        .ok_or_else(|| format!("`max_inflated` is {size}"))
}

/// Settings that could never act on any of the values that the mapping takes.
fn contradictions(spec: &MappingSpec, chain: &Chain) -> Vec<Mistake> {
    let takes = |of: fn(RedisType) -> bool| spec.types.iter().any(|redis_type| of(*redis_type));
    let (whole, items) = (takes(RedisType::is_whole), takes(RedisType::has_items));
    let (whole_json, whole_text) = (whole && chain.form.is_json(), whole && chain.form != Form::Bytes);
    let json_items =
        spec.items == ItemForm::Json && takes(has_values) || spec.members == ItemForm::Json && takes(has_members);
    let json = whole_json || json_items;
    let scores = takes(|redis_type| redis_type == RedisType::Zset);
    let entries = takes(|redis_type| redis_type == RedisType::Stream);
    let only_json = if items { NO_JSON_ITEMS } else { ONLY_JSON };
    let settings = [
        (
            "nul",
            spec.nul.is_some() && !(whole_text || items),
            "Text and JSON can hold U+0000, bytes hold anything: take it out.",
        ),
        ("invalid_utf8", spec.invalid_utf8.is_some() && !(whole_text || items), "Bytes have no encoding: take it out."),
        ("surrogates", spec.surrogates.is_some() && !json, only_json),
        ("nonfinite", spec.nonfinite.is_some() && !(json || scores), only_json),
        ("duplicate_keys", spec.duplicate_keys.is_some() && !(json || entries || reads_texts(spec)), only_json),
        (
            "unwrap_json_string",
            spec.unwrap_json_string && !whole_json,
            if items { "It is for strings that are a JSON string as a whole: take it out." } else { ONLY_JSON },
        ),
        ("empty_items", spec.empty_items.is_some() && !json_items, NO_JSON_ITEMS),
        (
            "bytes",
            spec.bytes.is_some() && !(whole_json && chain.form.holds_bytes() || items),
            "Only msgpack, php and the items of collections can hold bytes: take it out.",
        ),
        ("max_inflated", spec.max_inflated.is_some() && !chain.inflates(), "No step inflates anything: take it out."),
    ];
    let wrong = settings.into_iter().filter(|(_, wrong, _)| *wrong);
    wrong.map(|(setting, _, hint)| (format!("`{setting}` {}", does_nothing(spec, whole)), hint)).collect()
}

/// Whether a function reads JSON out of texts.
fn reads_texts(spec: &MappingSpec) -> bool {
    let json = |function: &FunctionSpec| matches!(function, FunctionSpec::Call(name) if name == "json");
    spec.columns.iter().any(|column| {
        let own = column.from.iter().filter_map(|candidate| match candidate {
            CandidateSpec::Table(table) => Some(&table.with),
            CandidateSpec::Source(_) => None,
        });
        own.chain([&column.with]).flatten().any(json)
    })
}

/// Why a setting cannot act.
fn does_nothing(spec: &MappingSpec, whole: bool) -> String {
    if whole {
        return format!("does not go with `decode`: {:?}", spec.decode);
    }
    let types: Vec<&str> = spec.types.iter().map(|redis_type| redis_type.name()).collect();
    format!("does nothing for values of the type {} as the mapping reads them", types.join(", "))
}

/// Whether there are values in a type that may be JSON by themselves.
pub(super) fn has_values(redis_type: RedisType) -> bool {
    matches!(redis_type, RedisType::Hash | RedisType::List | RedisType::Stream)
}

/// Whether there are members in a type.
pub(super) fn has_members(redis_type: RedisType) -> bool {
    matches!(redis_type, RedisType::Set | RedisType::Zset)
}

const ONLY_JSON: &str = "Only JSON has what it is about: take it out, or end `decode` in json.";

const NO_JSON_ITEMS: &str = "Only JSON has what it is about: take it out, or say `items = \"json\"` where the values of \
                             hashes and streams and the elements of lists are JSON, or `members = \"json\"` where the \
                             members of sets and sorted sets are.";

impl Check {
    /// Settings about how values are read, of a mapping that takes them as they are.
    pub(super) fn undecoded(&mut self, spec: &MappingSpec, subject: &str) {
        let settings = [
            ("decode", spec.decode != ["json"]),
            ("items", spec.items != ItemForm::Text),
            ("members", spec.members != ItemForm::Text),
            ("empty_items", spec.empty_items.is_some()),
            ("nul", spec.nul.is_some()),
            ("surrogates", spec.surrogates.is_some()),
            ("nonfinite", spec.nonfinite.is_some()),
            ("invalid_utf8", spec.invalid_utf8.is_some()),
            ("duplicate_keys", spec.duplicate_keys.is_some()),
            ("bytes", spec.bytes.is_some()),
            ("unwrap_json_string", spec.unwrap_json_string),
        ];
        for (setting, _) in settings.into_iter().filter(|(_, given)| *given) {
            let message = format!("`{setting}` does nothing: the mapping reads no value that is decoded");
            let hint = "Take it out, or read \"$\" or \"value\": `redis.value`, `redis.bytes` and `redis.dump` are of the value as it is.";
            self.critical(subject, message, hint);
        }
    }
}

/// The sources of a mapping that its chain gives nothing to, by column.
pub(super) fn unreadable(spec: &MappingSpec) -> Vec<(String, Mistake)> {
    const HINT: &str = "Read the whole as \"value\", or end `decode` in json.";
    let form = spec.decode.last().and_then(|last| Form::named(last));
    let Some(form) = form.filter(|form| !form.is_json()) else { return Vec::new() };
    let said = |path: &str| (format!("`from`: `{path}` reads JSON, and `decode` ends in {}", form.name()), HINT);
    let of_column = |column: &ColumnSpec| {
        let paths: Vec<Mistake> = column.from.iter().filter_map(path_of).map(|path| said(&path)).collect();
        let subject = format!("{}.{}", spec.into, column.name);
        paths.into_iter().map(move |mistake| (subject.clone(), mistake))
    };
    let unread = |source: &str| source.starts_with('$') || form == Form::Bytes && source == "value";
    let document_id = match &spec.lineage {
        Some(LineageSpec::Column { document_id, .. }) => Some(document_id).filter(|source| unread(source)),
        _ => None,
    };
    let lineage = document_id.map(|source| (format!("mapping {}: lineage", spec.name), said(source)));
    spec.columns.iter().flat_map(of_column).chain(lineage).collect()
}

/// The path that a candidate reads.
fn path_of(candidate: &CandidateSpec) -> Option<String> {
    let reads = |text: &str| text.starts_with('$') || text.contains("{$") || text == "rest";
    match candidate {
        CandidateSpec::Source(source) => reads(source).then(|| source.clone()),
        CandidateSpec::Table(table) => {
            let SourceTable { source, collect, when, .. } = table.as_ref();
            let collected = collect.as_ref().map(|names| format!("collect {names:?}"));
            source.clone().filter(|source| reads(source)).or(collected).or_else(|| when.clone())
        }
    }
}

/// Whether a column can take the whole value as its mapping reads it.
pub(super) fn whole_fits(
    column: &Column,
    candidates: &[Candidate],
    encoder: &Encoder,
    form: Form,
) -> Result<(), Mistake> {
    let whole = |candidate: &&Candidate| matches!(candidate.source, Source::Value);
    let as_it_is = candidates.iter().filter(whole).any(|candidate| candidate.with.is_empty());
    if !as_it_is {
        return Ok(());
    }
    let (json, bytes) = (encoder.takes_json(), form == Form::Bytes);
    let takes_bytes = matches!(column.column_type, ColumnType::Bytea | ColumnType::Text | ColumnType::Varchar(_));
    match (json, bytes) {
        (true, false) if form.is_json() => {
            let message = "`from`: `value` is text, and would be stored as a JSON string of JSON".to_owned();
            Err((message, "Write \"$\" for the whole value as JSON."))
        }
        (_, true) if !takes_bytes => {
            let message = "`from`: `value` is bytes, and the column takes none".to_owned();
            Err((message, "End `decode` in text or json, or make the column bytea."))
        }
        _ => Ok(()),
    }
}
