//! The check of JSON, its repairs, and what is read of a checked text.
//!
//! The first line of an input names the policies by a letter each, the rest is the value: see [`Asked::of`].

use super::lines;
use super::node::Node;
use super::node_reader::{self, Refusal, Rules};
use redis2pg::decode::{
    Chain, Charset, Content, DecodeError, Decoder, DuplicateKeys, Field, JsonPath, NonfinitePolicy, NulPolicy,
    Policies, SurrogatePolicy, decode, elements, has_duplicate_keys, lookup, push_json_string, push_key, unescape,
};
use serde_json::value::RawValue;

/// What an input asks for.
struct Asked {
    policies: Policies,
    rules: Rules,
}

impl Asked {
    fn of(letters: &str) -> Self {
        let has = |letter| letters.contains(letter);
        let first = |wanted: [char; 2]| letters.chars().find(|letter| wanted.contains(letter));
        let nul =
            first(['s', 'r']).map(|c| if c == 's' { (NulPolicy::Strip, "") } else { (NulPolicy::Replace, "\u{fffd}") });
        let nonfinite =
            first(['n', 'q']).map(|c| if c == 'n' { NonfinitePolicy::Null } else { NonfinitePolicy::String });
        let policies = Policies {
            nul: nul.map(|(policy, _)| policy),
            surrogates: has('h').then_some(SurrogatePolicy::Replace),
            nonfinite,
            invalid_utf8: first(['l', 'w']).map(|c| if c == 'l' { Charset::Latin1 } else { Charset::Cp1252 }),
            duplicate_keys: if has('d') { DuplicateKeys::Reject } else { DuplicateKeys::Last },
            bytes: None,
        };
        let rules = Rules {
            nul: nul.map(|(_, stand_in)| stand_in),
            surrogates: has('h'),
            nonfinite: nonfinite.map(|policy| policy == NonfinitePolicy::String),
        };
        Self { policies, rules }
    }
}

pub(crate) fn holds(data: &[u8]) {
    let ([letters], value) = lines::take::<1>(data);
    check_is_right(value);
    repairs_are_right(&Asked::of(&letters), value);
    let text = String::from_utf8_lossy(value);
    let mut quoted = String::new();
    push_json_string(&mut quoted, &text);
    assert_eq!(unescape(&quoted[1..quoted.len() - 1]), text);
    assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text);
}

fn body(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\xef\xbb\xbf").unwrap_or(value)
}

/// Without policies, what is accepted is what PostgreSQL takes, and what is refused has a reason and a place.
fn check_is_right(value: &[u8]) {
    let body = body(value);
    let expected = match std::str::from_utf8(body) {
        Ok(text) => node_reader::strict(text),
        Err(error) => Err(Refusal { reason: "invalid_utf8", at: error.valid_up_to() }),
    };
    let mut fields = Vec::new();
    match (decode(value, &mut fields), expected) {
        (Ok(decoded), Ok(node)) => {
            assert_eq!((decoded.text.as_bytes(), decoded.bom), (body, body.len() < value.len()));
            let raw: &RawValue = serde_json::from_str(decoded.text).unwrap();
            assert_eq!(raw.get(), decoded.scanned.span.of(decoded.text), "the span is the value's");
            assert_eq!(decoded.scanned.kind.name(), kind(&node));
            assert_eq!(has_duplicate_keys(decoded.text), node.repeats_keys());
            assert!(decoded.scanned.may_repeat || !node.repeats_keys(), "a repeated key was missed");
            assert_eq!(decoded.scanned.escaped_keys, fields.iter().any(|field| field.key_escaped));
            parts_are_found(decoded.text, &fields, decoded.scanned.escaped_keys, &node);
        }
        (Err(error), Err(refusal)) => refused_alike(&error, &refusal, value),
        (Ok(_), Err(refusal)) => panic!("accepted, though {refusal:?}"),
        (Err(error), Ok(_)) => panic!("refused without need: {error}"),
    }
}

fn kind(node: &Node) -> &'static str {
    match node {
        Node::Null => "null",
        Node::Bool(_) => "boolean",
        Node::Number(_) => "number",
        Node::Text(_) => "string",
        Node::Array(_) => "array",
        Node::Object(_) => "object",
    }
}

fn refused_alike(error: &DecodeError, refusal: &Refusal, value: &[u8]) {
    assert!(!error.reason.is_empty() && !error.detail.is_empty());
    assert!(error.offset.is_none_or(|offset| offset <= value.len()), "{error}: {:?}", error.offset);
    if error.reason == "empty_value" || error.reason.starts_with("encoding_unsupported (") {
        assert!(refusal.reason == "json_syntax" || error.reason != "empty_value", "{error}: {refusal:?}");
        return;
    }
    let skipped = value.len() - body(value).len();
    // Which of the two is told of half a pair before something that is no escape either does not matter.
    let vague = ["json_syntax", "json_surrogate"];
    let same = error.reason == refusal.reason && error.offset == Some(refusal.at + skipped);
    let both_vague = vague.contains(&error.reason.as_ref()) && vague.contains(&refusal.reason);
    assert!(same || both_vague, "{error} at {:?}: {refusal:?}", error.offset);
}

/// Fields, paths and elements lead to the parts that the tree has.
fn parts_are_found(text: &str, fields: &[Field], escaped_keys: bool, node: &Node) {
    match node {
        Node::Object(members) => {
            assert_eq!(fields.len(), members.len());
            for (field, (key, value)) in fields.iter().zip(members) {
                assert_eq!(unescape(field.key.of(text)), key.as_str());
                assert_eq!(node_reader::strict(field.value.of(text)).as_ref(), Ok(value));
            }
            for (key, _) in members.iter().take(8) {
                let found = lookup(text, fields, escaped_keys, key).map(node_reader::strict);
                assert_eq!(found.unwrap().as_ref().ok(), node.member(key));
                path_leads_there(text, fields, escaped_keys, key, found_of(node, key));
            }
        }
        Node::Array(items) => {
            let found: Vec<&str> = elements(text.trim_ascii()).unwrap().collect();
            assert_eq!(found.len(), items.len());
            for (element, item) in found.iter().zip(items) {
                assert_eq!(node_reader::strict(element).as_ref(), Ok(item));
            }
            let last = JsonPath::parse("$[-1]").unwrap();
            assert_eq!(last.find(text, fields, escaped_keys), found.last().copied());
        }
        _ => assert!(fields.is_empty() && elements(text.trim_ascii()).is_none()),
    }
}

fn found_of<'n>(node: &'n Node, key: &str) -> &'n Node {
    node.member(key).unwrap()
}

fn path_leads_there(text: &str, fields: &[Field], escaped_keys: bool, key: &str, value: &Node) {
    // A path has no empty key.
    if key.is_empty() {
        return;
    }
    let mut path = String::from("$");
    push_key(&mut path, key);
    if let Node::Object(members) = value
        && let Some((inner, _)) = members.first().filter(|(inner, _)| !inner.is_empty())
    {
        push_key(&mut path, inner);
    }
    let value = match value {
        Node::Object(members) if members.first().is_some_and(|(inner, _)| !inner.is_empty()) => {
            found_of(value, &members[0].0)
        }
        value => value,
    };
    let parsed = JsonPath::parse(&path).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(parsed.first_key(), Some(key), "{path}");
    let found = parsed.find(text, fields, escaped_keys).unwrap_or_else(|| panic!("{path} leads nowhere"));
    assert_eq!(node_reader::strict(found).as_ref(), Ok(value), "{path}");
}

/// The value as text, in the encoding that the policies fall back to where it is not UTF-8.
fn as_text(value: &[u8], charset: Option<Charset>) -> Option<(String, bool)> {
    match (std::str::from_utf8(body(value)), charset) {
        (Ok(text), _) => Some((text.to_owned(), false)),
        (Err(_), None) => None,
        (Err(_), Some(charset)) => {
            let text: Option<String> = body(value).iter().map(|byte| character(*byte, charset)).collect();
            text.map(|text| (text, true))
        }
    }
}

fn character(byte: u8, charset: Charset) -> Option<char> {
    const HIGH: &str = "€\0‚ƒ„…†‡ˆ‰Š‹Œ\0Ž\0\0‘’“”•–—˜™š›œ\0žŸ";
    match byte {
        0x80..=0x9f if charset == Charset::Cp1252 => {
            HIGH.chars().nth(usize::from(byte - 0x80)).filter(|known| *known != '\0')
        }
        byte => Some(char::from(byte)),
    }
}

/// With policies, a value is accepted exactly if what they cover is all that is wrong with it, and then means what it meant.
fn repairs_are_right(asked: &Asked, value: &[u8]) {
    let Asked { policies, rules } = asked;
    let decoder =
        Decoder { chain: Chain::parse(&["json".to_owned()]).unwrap(), policies: *policies, max_inflated: 1 << 20 };
    let (mut fields, mut altered) = (Vec::new(), Vec::new());
    let decoded = decoder.decode(value, &mut fields, &mut altered);
    let text = as_text(value, policies.invalid_utf8);
    let expected = text.as_ref().and_then(|(text, _)| node_reader::read(text, *rules).ok());
    let rejects = policies.duplicate_keys == DuplicateKeys::Reject;
    let expected = expected.filter(|read| !(read.made_equal || rejects && read.node.repeats_keys()));
    match (decoded, expected, text) {
        (Ok(Content::Json(found, scanned)), Some(read), Some((text, recoded))) => {
            let mut wanted = read.repairs.clone();
            wanted.extend((body(value).len() < value.len()).then_some("bom"));
            wanted.extend(recoded.then_some("invalid_utf8"));
            wanted.extend(read.node.repeats_keys().then_some("json_duplicate_key"));
            altered.sort_unstable();
            assert_eq!(altered, wanted.into_iter().collect::<Vec<_>>(), "what was done is told, and told once");
            assert_eq!(node_reader::strict(&found).as_ref(), Ok(&read.node), "the meaning is kept");
            assert!(!read.repairs.is_empty() || found == text, "a text that needs no repair is left alone");
            assert!(decode(found.as_bytes(), &mut Vec::new()).is_ok_and(|again| again.scanned == scanned));
        }
        (Ok(content), expected, _) => panic!("accepted as {content:?}, expected {expected:?}"),
        (Err(error), Some(read), _) => panic!("refused: {error}; expected {read:?}"),
        (Err(error), None, _) => {
            // The place may be one of the text as recoded and repaired.
            assert!(error.offset.is_none_or(|offset| offset <= value.len() * 3), "{error}: {:?}", error.offset);
        }
    }
}
