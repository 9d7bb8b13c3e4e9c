//! Key patterns: how they are read, what they take, how they are said to Redis, and whether two of them take the same key.
//!
//! An input is a pattern, another one, a separator (`:` where the line is empty), and a key.

use super::glob::redis_matches;
use super::lines;
use super::pattern_reader::{Ends, Part, Shape, parts, readings};
use redis2pg::mapping::{
    KeySet, MappingSpec, Miss, Pattern, Plan, RunStamp, Scratch, check_keys, check_specs, escape_literal,
};
use redis2pg::model::{Column, ColumnType, Record, RedisKey, RedisType, Table, TableName};
use serde_json::json;
use std::collections::HashMap;

const UUID: &str = "01234567-89ab-4DEF-8012-3456789abcde";

pub(crate) fn holds(data: &[u8]) {
    let ([left, right, separator], key) = lines::take::<3>(data);
    let separator = if separator.is_empty() { ":" } else { &separator };
    // Long ones only take longer.
    if left.len() > 80 || right.len() > 80 || separator.len() > 16 || key.len() > 120 {
        return;
    }
    let (left, right) = (One::new(&left, separator), One::new(&right, separator));
    let keys: Vec<Vec<u8>> =
        [key.to_vec()].into_iter().chain(left.iter().chain(&right).flat_map(|one| one.keys(key))).collect();
    for one in left.iter().chain(&right) {
        keys.iter().for_each(|key| one.is_right_about(key));
        one.captures_come_through(&keys);
    }
    if let (Some(left), Some(right)) = (&left, &right) {
        pairs_are_known(left, right, &keys);
        exclusions_are_known(left, right, &keys);
        differences_are_known(left, right, &keys);
    }
    let text = String::from_utf8_lossy(key);
    let literal = Pattern::parse(&escape_literal(&text)).unwrap();
    assert!(literal.matches(text.as_bytes()) && !literal.matches(format!("{text}a").as_bytes()));
}

/// A pattern that both readers take.
struct One<'t> {
    text: &'t str,
    separator: &'t str,
    pattern: Pattern,
    parts: Vec<Part>,
}

impl<'t> One<'t> {
    fn new(text: &'t str, separator: &'t str) -> Option<Self> {
        match (Pattern::parse_with(text, separator), parts(text)) {
            (Ok(pattern), Some(parts)) => {
                assert_eq!(pattern.text(), text);
                let prefix = if let Some(Part::Literal(literal)) = parts.first() { literal } else { "" };
                assert_eq!(pattern.prefix(), prefix);
                Some(Self { text, separator, pattern, parts })
            }
            (Err(error), parts) => {
                assert!(error.contains(text), "{error}");
                // An expression that can hold what follows it is refused, which only the automaton knows.
                assert!(parts.is_none() || error.contains("nothing tells where it ends"), "{error}");
                None
            }
            (Ok(_), None) => panic!("{text} is no pattern"),
        }
    }

    fn has_regex(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Capture(_, Shape::Regex(_))))
    }

    /// Whether an expression may be too large to know which texts it takes.
    fn has_large_regex(&self) -> bool {
        self.has_regex()
            && (self.text.len() > 24 || self.text.contains("{") && self.text.matches('{').count() > self.parts.len())
    }

    /// Keys that look like its own, with pieces of another key and typical texts for the captures.
    fn keys(&self, key: &[u8]) -> Vec<Vec<u8>> {
        let half = key.len() / 2;
        let texts: [&[u8]; 6] = [b"", b"a", b"-7", UUID.as_bytes(), &key[..half], &key[half..]];
        let build = |text: &&[u8]| {
            let piece = |part: &Part| {
                if let Part::Literal(literal) = part { literal.as_bytes().to_vec() } else { text.to_vec() }
            };
            self.parts.iter().flat_map(piece).collect()
        };
        texts.iter().map(build).filter(|key: &Vec<u8>| key.len() <= 300).collect()
    }

    fn read<'k>(&self, key: &'k [u8]) -> Option<Vec<(String, &'k [u8])>> {
        readings(&self.parts, self.separator, key, Ends::First).pop()
    }

    fn is_right_about(&self, key: &[u8]) {
        let (matches, glob) = (self.pattern.matches(key), self.pattern.glob());
        let read = self.read(key);
        assert_eq!(matches, read.is_some(), "{} on {:?}", self.text, key.escape_ascii().to_string());
        if self.has_regex() && !self.has_large_regex() && key.len() <= 60 {
            let ways = readings(&self.parts, self.separator, key, Ends::Anywhere);
            assert_eq!(ways.first(), read.as_ref(), "{} on {:?}", self.text, key.escape_ascii().to_string());
            assert!(ways.len() <= 1, "{} reads {:?} in {} ways", self.text, key.escape_ascii().to_string(), ways.len());
        }
        let found = redis_matches(glob.as_bytes(), key);
        assert!(found || !matches, "SCAN MATCH {glob} does not list a key of {}", self.text);
        assert_eq!(self.pattern.glob_matches(key), found, "{glob} on {:?}", key.escape_ascii().to_string());
        assert!(!matches || key.starts_with(self.pattern.prefix().as_bytes()));
    }

    /// What the captures take is what the columns of a row get.
    fn captures_come_through(&self, keys: &[Vec<u8>]) {
        let names: Vec<&str> = self
            .parts
            .iter()
            .filter_map(|part| if let Part::Capture(name, _) = part { Some(name.as_str()) } else { None })
            .collect();
        if names.is_empty() || !keys.iter().any(|key| self.pattern.matches(key)) {
            return;
        }
        let columns: Vec<_> = names.iter().map(|name| json!({"name": name, "from": [format!("{{{name}}}")]})).collect();
        let spec = json!({"name": "m", "match": self.text, "separator": self.separator, "into": "s.t", "key": names[..1], "column": columns});
        let spec: MappingSpec = serde_json::from_value(spec).unwrap();
        let name = TableName { schema: "s".into(), table: "t".into() };
        let column = |name: &&str| Column {
            name: (*name).to_owned(),
            column_type: ColumnType::Bytea,
            not_null: false,
            has_default: false,
            generated: false,
        };
        let table = Table { name: name.clone(), columns: names.iter().map(column).collect() };
        let plan = Plan::compile(&[spec], &HashMap::from([(name, table)]), RunStamp::default()).unwrap();
        keys.iter().for_each(|key| self.row_has_captures(&plan, key));
    }

    fn row_has_captures(&self, plan: &Plan, key: &[u8]) {
        let Some(id) = plan.classify(key) else { return assert!(!self.pattern.matches(key)) };
        let record = Record {
            key: RedisKey::new(key.to_vec()),
            redis_type: RedisType::String,
            value: "{}".into(),
            stored: None,
            slice: None,
            expires_at: None,
            facts: None,
        };
        let read = self.read(key).unwrap();
        match plan.mapping(id).map(&record, 0, &mut Scratch::default()) {
            Err(reject) if read.iter().any(|(_, text)| text.is_empty()) => assert_eq!(reject.reason, "key_empty_id"),
            Err(reject) if std::str::from_utf8(key).is_err() => assert_eq!(reject.reason, "key_not_utf8"),
            Err(reject) => assert!(reject.reason == "text_nul" && key.contains(&0), "{reject:?}"),
            Ok(row) => {
                for (place, column) in plan.mapping(id).columns().iter().enumerate() {
                    let text = read.iter().find(|(name, _)| *name == column.name).unwrap().1;
                    assert_eq!(row.field(place), Some(text), "{} of {:?}", column.name, record.key);
                }
            }
        }
    }

    fn spec(&self, name: &str, more: &[(&str, serde_json::Value)]) -> MappingSpec {
        let mut spec =
            json!({"name": name, "match": self.text, "separator": self.separator, "into": "s.t", "key": ["k"]});
        more.iter().for_each(|(key, value)| spec[*key] = value.clone());
        serde_json::from_value(spec).unwrap()
    }
}

/// Two mappings of which nothing is said have no key in common, and a key that is named is of both.
fn pairs_are_known(left: &One<'_>, right: &One<'_>, keys: &[Vec<u8>]) {
    let findings = check_keys(&[left.spec("left", &[]), right.spec("right", &[])], 0);
    let messages: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
    let witness = messages.iter().find_map(|message| message.split_once("as well, such as `")?.1.strip_suffix('`'));
    if let Some(witness) = witness {
        let key = shown(witness);
        assert!(left.read(&key).is_some() && right.read(&key).is_some(), "{witness} is not a key of both");
    }
    let unsure = messages.iter().any(|message| message.contains("too large to find out"));
    assert!(!unsure || witness.is_none());
    if let Some(key) = keys.iter().find(|key| left.read(key).is_some() && right.read(key).is_some()) {
        let key = key.escape_ascii().to_string();
        assert!(witness.is_some() || unsure, "{} and {} both take {key:?}: {messages:?}", left.text, right.text);
    }
}

/// What an exclusion takes is not the mapping's; one that is said to leave nothing does.
fn exclusions_are_known(left: &One<'_>, right: &One<'_>, keys: &[Vec<u8>]) {
    let spec = left.spec("left", &[("exclude", json!([right.text]))]);
    let set = KeySet::parse(&spec).unwrap();
    for key in keys {
        let (taken, excluded) = (left.read(key).is_some(), right.read(key).is_some());
        assert_eq!(set.matches(key), taken && !excluded);
        if !set.matches(key) {
            let near = left.pattern.glob_matches(key);
            match set.miss(key) {
                Some(Miss::Excluded) => assert!(excluded),
                Some(Miss::Refused) => assert!(!excluded && near),
                // Text at the beginning tells a pattern's keys from others.
                None => assert!(!excluded && (!near || left.pattern.prefix().is_empty())),
            }
        }
    }
    let findings = check_specs(&[spec], 0);
    if findings.iter().any(|finding| finding.message.contains("nothing is left for the mapping")) {
        assert!(!keys.iter().any(|key| set.matches(key)), "{} without {} has keys", left.text, right.text);
    }
}

/// Two patterns of one mapping read a key alike, or are refused with a key that they do not.
fn differences_are_known(left: &One<'_>, right: &One<'_>, keys: &[Vec<u8>]) {
    let spec = left.spec("both", &[("match", json!([left.text, right.text]))]);
    if KeySet::parse(&spec).is_err() {
        return;
    }
    let findings = check_keys(&[spec], 0);
    let differ = |key: &[u8]| left.read(key).zip(right.read(key)).is_some_and(|(one, other)| one != other);
    let told = findings.iter().find_map(|finding| {
        finding.message.strip_prefix("`match`: `")?.rsplit_once("` is read differently by `").map(|(key, _)| key)
    });
    match told {
        // The patterns are quoted behind the key, and may look like what is searched for.
        Some(key) if !left.text.contains('`') && !right.text.contains('`') => {
            assert!(differ(&shown(key)), "{key} is read alike");
        }
        Some(_) => {}
        None => {
            let large = left.has_large_regex() || right.has_large_regex();
            let key = keys.iter().find(|key| differ(key)).filter(|_| !large);
            assert_eq!(key.map(|key| key.escape_ascii().to_string()), None, "{} and {}", left.text, right.text);
        }
    }
}

/// The bytes of a key as messages show it.
fn shown(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match (first, behind) {
            (b'\\', [b'x', high, low, behind @ ..]) => {
                let digits = [*high, *low];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                rest = behind;
            }
            (b'\\', [b'\\', behind @ ..]) => {
                bytes.push(b'\\');
                rest = behind;
            }
            (byte, _) => bytes.push(*byte),
        }
    }
    bytes
}
