//! What a capture may hold: UUIDs, whole numbers, and what a regular expression says. All on bytes.

use super::language::{Delimiter, Language};
use super::letters::Letters;
use regex_automata::dfa::{StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;
use std::collections::HashSet;
use std::sync::Arc;

/// The largest table that an expression is compiled into, in bytes, for finding out which texts it takes.
const TABLE_LIMIT: usize = 1 << 20;

/// A regular expression for a whole text. `.` is any byte, classes such as `\d` are ASCII's.
#[derive(Clone, Debug)]
pub(super) struct Regex {
    matcher: regex::bytes::Regex,
    /// The texts that it takes, where they could be worked out.
    language: Language,
}

impl Regex {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub(super) fn parse(source: &str) -> Result<Self, String> {
        let whole = format!(r"\A(?:{source})\z");
        let mut builder = regex::bytes::RegexBuilder::new(&whole);
        let matcher = builder.unicode(false).dot_matches_new_line(true).build().map_err(|error| last_line(&error))?;
        Ok(Self { matcher, language: language(&whole) })
    }

    /// Whether it takes a text.
    pub(super) fn takes(&self, text: &[u8]) -> bool {
        self.matcher.is_match(text)
    }

    /// The texts that it takes.
    pub(super) fn language(&self) -> &Language {
        &self.language
    }

    /// Whether a text that it takes would be cut short, were it read up to the first `delimiter`. `false` where that is
    /// not known.
    pub(super) fn may_hold(&self, delimiter: &[u8]) -> bool {
        if !matches!(self.language, Language::Table(_)) {
            return false;
        }
        let delimiter = Delimiter::new(delimiter);
        let mut letters = Letters::new();
        letters.tell_apart(&self.language, Some(&delimiter));
        let bytes = letters.examples();
        let mut seen = HashSet::new();
        let mut open = vec![(self.language.start(), 0, false)];
        while let Some((text, read, held)) = open.pop() {
            if !seen.insert((text, read, held)) {
                continue;
            }
            if self.language.accepts(text) && (held || delimiter.comes_early(read)) {
                return true;
            }
            for byte in &bytes {
                let Some(text) = self.language.next(text, *byte) else { continue };
                let read = if held { 0 } else { delimiter.next(read, *byte) };
                let held = held || delimiter.is_whole(read);
                open.push((text, if held { 0 } else { read }, held));
            }
        }
        false
    }
}

fn language(whole: &str) -> Language {
    let table = dense::Builder::new()
        .configure(
            dense::Config::new()
                .start_kind(StartKind::Anchored)
                .dfa_size_limit(Some(TABLE_LIMIT))
                .determinize_size_limit(Some(4 * TABLE_LIMIT)),
        )
        .syntax(syntax::Config::new().unicode(false).utf8(false).dot_matches_new_line(true))
        .thompson(thompson::Config::new().utf8(false))
        .build(whole);
    table.map_or(Language::Unknown, |table| Language::Table(Arc::new(table)))
}

/// The parser draws a picture; its last line says what is wrong.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default().trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// How long the UUID is that a text begins with: hexadecimal digits of either case, and dashes.
pub(super) fn uuid_length(text: &[u8]) -> Option<usize> {
    let uuid = text.get(..UUID.len())?;
    uuid.iter().zip(UUID).all(|(byte, form)| is_uuid_byte(*byte, *form)).then_some(UUID.len())
}

/// A UUID: `-` stands for itself, any other character for a hexadecimal digit.
pub(super) const UUID: &[u8] = b"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

fn is_uuid_byte(byte: u8, form: u8) -> bool {
    if form == b'-' { byte == b'-' } else { byte.is_ascii_hexdigit() }
}

/// How long the whole number is that a text begins with.
pub(super) fn int_length(text: &[u8]) -> Option<usize> {
    let sign = usize::from(text.first() == Some(&b'-'));
    let digits = text.iter().skip(sign).take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0).then_some(sign + digits)
}

#[cfg(test)]
mod tests {
    use super::{Language, Regex, int_length, uuid_length};

    #[test]
    fn expressions_take_whole_texts_of_bytes() {
        let takes = |source: &str, text: &[u8]| Regex::parse(source).unwrap().takes(text);
        assert!(takes("a|ab", b"ab"), "the longer alternative counts too");
        assert!(!takes("a|ab", b"abc"));
        assert!(!takes(r"\d+", "٣".as_bytes()), "digits are ASCII's");
        assert!(takes(r"\d{4}", b"2024"));
        assert!(takes(".", b"\xff") && takes(".", b"\n"));
        assert!(takes("é", "é".as_bytes()));
        assert!(!takes("(?m)^a$", b"a\nb"));
        assert_eq!(Regex::parse("(").unwrap_err(), "unclosed group");
    }

    #[test]
    fn the_table_takes_what_the_expression_takes() {
        for source in ["", "a|ab", r"\d{2,3}", "[^:]*x", r"(?i)ab?", r"\bx\b", "(?s-u:.)"] {
            let regex = Regex::parse(source).unwrap();
            assert!(matches!(regex.language, Language::Table(_)), "{source}");
            for text in ["", "a", "ab", "AB", "12", "123", "1234", "x", "yx", ":x", "\n"] {
                let end = text.bytes().try_fold(regex.language.start(), |state, byte| regex.language.next(state, byte));
                let taken = end.is_some_and(|end| regex.language.accepts(end));
                assert_eq!(taken, regex.takes(text.as_bytes()), "/{source}/ on {text:?}");
            }
        }
        assert!(matches!(Regex::parse("[ab]*a[ab]{20}").unwrap().language, Language::Unknown));
    }

    #[test]
    fn an_expression_that_can_hold_its_delimiter_is_known() {
        let may_hold = |source: &str, delimiter: &[u8]| Regex::parse(source).unwrap().may_hold(delimiter);
        assert!(may_hold(".*", b":") && may_hold("a-b", b"-") && may_hold("[ab]+", b"ab"));
        assert!(may_hold("x?a", b"aa"), "xa + aa has aa one byte too early");
        assert!(!may_hold("[^:]*", b":") && !may_hold("[0-9]+", b":x") && !may_hold("a", b"ab"));
    }

    #[test]
    fn uuids_and_numbers_end_by_themselves() {
        let uuid = "01234567-89aB-4def-8012-3456789abcde";
        assert_eq!(uuid_length(format!("{uuid}f").as_bytes()), Some(36));
        assert_eq!(uuid_length(&uuid.as_bytes()[..35]), None);
        assert_eq!(uuid_length(uuid.replace('-', "0").as_bytes()), None);
        assert_eq!(uuid_length(uuid.replace('f', "g").as_bytes()), None);
        assert_eq!((int_length(b"-12-3"), int_length(b"007x")), (Some(3), Some(3)));
        assert_eq!((int_length(b"-"), int_length(b""), int_length(b"+1")), (None, None, None));
    }
}
