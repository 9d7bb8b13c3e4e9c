//! From text to a pattern. Everything that a key could be read in two ways by is refused here.

use super::shape::Regex;
use super::{Capture, MAX_CAPTURES, Part, Pattern, Reach, SEPARATOR};
use memchr::memmem::Finder;

/// What a capture's braces say after its name.
enum Form {
    Segment,
    Rest,
    Uuid,
    Int,
    Regex(String),
}

enum Token {
    Literal(String),
    Capture(String, Form),
}

impl Pattern {
    /// Reads a pattern such as `document:{id..}` whose segments are separated by colons.
    ///
    /// # Errors
    /// As [`Self::parse_with`].
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::parse_with(text, SEPARATOR)
    }

    /// Reads a pattern whose segments are separated by `separator`, which must not be empty.
    ///
    /// # Errors
    /// Where a brace or a regular expression is not closed, a capture has no name, one that is taken or a shape that
    /// is none, or a key could be read in two ways.
    pub fn parse_with(text: &str, separator: &str) -> Result<Self, String> {
        let said = |why: String| format!("`{text}`: {why}");
        let tokens = tokens(text).map_err(said)?;
        let names: Vec<String> = names(&tokens).map_err(said)?;
        let mut parts = Vec::with_capacity(tokens.len());
        let mut slot = 0;
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            parts.push(match token {
                Token::Literal(literal) => Part::Literal(literal),
                Token::Capture(name, form) => {
                    slot += 1;
                    let next = tokens.peek();
                    Part::Capture(capture((&name, form), slot - 1, next, separator).map_err(said)?)
                }
            });
        }
        Ok(Self { text: text.to_owned(), parts, names })
    }
}

/// A literal text as a pattern says it: its braces are doubled.
pub fn escape_literal(literal: &str) -> String {
    literal.replace('{', "{{").replace('}', "}}")
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(tail) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
            literal.push(c);
            rest = tail;
        } else if let Some(tail) = rest.strip_prefix('{') {
            if !literal.is_empty() {
                tokens.push(Token::Literal(std::mem::take(&mut literal)));
            }
            let (token, tail) = braces(tail)?;
            tokens.push(token);
            rest = tail;
        } else if c == '}' {
            return Err("a `}` closes nothing (`}}` is a literal one)".to_owned());
        } else {
            literal.push(c);
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
    }
    if !literal.is_empty() {
        tokens.push(Token::Literal(literal));
    }
    Ok(tokens)
}

/// Reads what follows a `{` up to its `}`, and gives what comes after.
fn braces(text: &str) -> Result<(Token, &str), String> {
    const OPEN: &str = "a `{` is not closed";
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = text.find(|c| !is_name(c)).ok_or(OPEN)?;
    let (name, rest) = text.split_at(end);
    let capture = |form| Token::Capture(name.to_owned(), form);
    if let Some(tail) = rest.strip_prefix(":/") {
        let (source, tail) = regex_source(tail).ok_or_else(|| format!("the expression of `{name}` is not closed"))?;
        return Ok((capture(Form::Regex(source.to_owned())), tail));
    }
    let (said, tail) = rest.split_once('}').ok_or(OPEN)?;
    let form = match said {
        "" => Form::Segment,
        ".." => Form::Rest,
        ":uuid" => Form::Uuid,
        ":int" => Form::Int,
        said if said.starts_with(':') => {
            return Err(format!("`{{{name}{said}}}`: a shape is `uuid`, `int` or a regular expression in slashes"));
        }
        _ => return Err(format!("`{name}{said}` is no name for a capture")),
    };
    Ok((capture(form), tail))
}

/// Splits an expression off at its `/}`. A backslash takes the character after it along, so that `\/` is a slash.
fn regex_source(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '/' => return Some((text.get(..at)?, text.get(at + 1..)?.strip_prefix('}')?)),
            _ => {}
        }
    }
    None
}

fn names(tokens: &[Token]) -> Result<Vec<String>, String> {
    let mut names: Vec<String> = Vec::new();
    for token in tokens {
        let Token::Capture(name, _) = token else { continue };
        if name.is_empty() {
            return Err("a capture has no name".to_owned());
        }
        if names.contains(name) {
            return Err(format!("the capture `{name}` is there twice"));
        }
        names.push(name.clone());
    }
    if names.len() > MAX_CAPTURES {
        return Err(format!("more than {MAX_CAPTURES} captures"));
    }
    Ok(names)
}

fn capture((name, form): (&str, Form), slot: usize, next: Option<&Token>, separator: &str) -> Result<Capture, String> {
    let after = match next {
        None => None,
        Some(Token::Literal(literal)) => Some(literal.as_str()),
        Some(Token::Capture(..)) => return Err(format!("nothing tells where `{{{name}}}` ends")),
    };
    let regex = match &form {
        Form::Regex(source) => Some(Regex::parse(source).map_err(|why| format!("the expression of `{name}`: {why}"))?),
        _ => None,
    };
    let reach = match (form, after) {
        (Form::Rest, Some(_)) => return Err(format!("nothing can follow `{{{name}..}}`")),
        (Form::Int, Some(after)) if after.starts_with(|c: char| c.is_ascii_digit()) => {
            return Err(format!("a digit after `{{{name}:int}}` would belong to it"));
        }
        (Form::Uuid, _) => Reach::Uuid,
        (Form::Int, _) => Reach::Int,
        (Form::Segment, Some(after)) if after.starts_with(separator) => Reach::Until(finder(separator)),
        (Form::Segment | Form::Regex(_), Some(after)) => Reach::Until(finder(after)),
        (Form::Segment, None) => Reach::Segment(finder(separator)),
        (Form::Rest | Form::Regex(_), None) => Reach::Rest,
    };
    if let (Some(regex), Reach::Until(after)) = (&regex, &reach)
        && regex.may_hold(after.needle())
    {
        let after = String::from_utf8_lossy(after.needle());
        return Err(format!("what `{name}` may be can have `{after}` in it: nothing tells where it ends"));
    }
    Ok(Capture { slot, reach, regex })
}

fn finder(text: &str) -> Box<Finder<'static>> {
    Box::new(Finder::new(text.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn patterns_that_cannot_be_read_in_one_way_are_refused() {
        for (text, why) in [
            ("a:{id", "not closed"),
            ("a:{id:uuid", "not closed"),
            ("a}", "closes nothing"),
            ("{a..}:x", "nothing can follow"),
            ("{a}{b}", "where `{a}` ends"),
            ("{a:uuid}{b}", "where `{a}` ends"),
            ("{}", "no name"),
            ("{..}", "no name"),
            ("{a b}", "no name for a capture"),
            ("{a...}", "no name for a capture"),
            ("{a}:{a}", "there twice"),
            ("{a:uid}", "a shape is"),
            ("{a..:uuid}", "no name for a capture"),
            ("{a:int}5", "a digit after"),
            ("{a:/x}", "not closed"),
            ("{a:/x/y}", "not closed"),
            ("{a:/(/}", "expression of `a`"),
            (r"{a:/\p{Greek}/}", "expression of `a`"),
            ("{a:/.+/}-{b}", "can have `-` in it"),
            ("{a:/[a-c:]+/}cc:{b}", "can have `cc:` in it"),
        ] {
            let refused = Pattern::parse(text);
            assert!(
                refused.as_ref().is_err_and(|said| said.contains(why) && said.contains(text)),
                "{text}: {refused:?}"
            );
        }
        let many: String = (0..17).map(|n| format!(":{{c{n}}}")).collect();
        assert!(Pattern::parse(&many).is_err_and(|said| said.contains("more than 16")));
        assert!(Pattern::parse(&many[..many.len() - 6]).is_ok());
    }

    #[test]
    fn a_regular_expression_ends_at_the_first_slash_that_is_not_escaped() {
        for text in [r"{a:/\d{4}/}", r"{a:/x\/y/}:{b}", r"{a:/[^\/}]+/}", r"{a:/\\/}", "{a://}"] {
            assert!(Pattern::parse(text).is_ok(), "{text}: {:?}", Pattern::parse(text));
        }
    }
}
