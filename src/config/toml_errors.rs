//! What is wrong with a text as TOML: which of the parser's errors are worth telling, and what to do about them.

use toml::de::Error;

/// An error further down than so many lines behind another one is no consequence of it.
const CASCADE: usize = 2;

/// The errors that say something of their own, each with the line where it is and a hint; `line` finds the line of an
/// offset. A bracket that is not closed makes errors of all lines behind it: of a run of such lines the first is told.
pub(super) fn worth_telling(
    text: &str,
    errors: &[Error],
    line: &dyn Fn(usize) -> usize,
) -> Vec<(usize, String, &'static str)> {
    let start = |error: &Error| error.span().map_or(0, |span| span.start);
    let mut sorted: Vec<&Error> = errors.iter().collect();
    sorted.sort_by_key(|error| start(error));
    let (mut told, mut last) = (Vec::new(), None::<usize>);
    for error in sorted {
        let (at, twice) = (line(start(error)), error.message() == "duplicate key");
        let follows = last.is_some_and(|last| at <= last + CASCADE);
        if !twice {
            last = Some(at);
        }
        if twice || !follows {
            let written = text.lines().nth(at.saturating_sub(1)).unwrap_or_default();
            told.push((at, error.message().to_owned(), hint(error.message(), written)));
        }
    }
    told
}

fn hint(message: &str, written: &str) -> &'static str {
    if message == "duplicate key" {
        return match written.trim_start().starts_with('[') {
            true => "where there are several of it, write it in double brackets, such as [[mapping.column]]",
            false => "take one of the two out",
        };
    }
    if message.starts_with("invalid ") || message.starts_with("string values must be quoted") {
        return "a text stands in quotes; true and false are in lower case";
    }
    "look for a bracket, comma or quote that is missing here or above; https://toml.io describes TOML"
}

#[cfg(test)]
mod tests {
    use super::worth_telling;
    use toml::de::DeTable;

    fn told(text: &str) -> Vec<(usize, String, &'static str)> {
        let (_, errors) = DeTable::parse_recoverable(text);
        let errors = if errors.is_empty() { vec![text.parse::<toml::Table>().unwrap_err()] } else { errors };
        let line = |offset: usize| 1 + text[..offset].matches('\n').count();
        worth_telling(text, &errors, &line)
    }

    #[test]
    fn a_bracket_that_is_not_closed_is_one_mistake() {
        let text = "a = 1\nkey = [\"id\"\ncreate = true\n\n[b]\nc = \"d\"\ne = [1]\n";
        let told = told(text);
        assert!(matches!(told.as_slice(), [(3, _, hint)] if hint.contains("bracket")), "{told:?}");
    }

    #[test]
    fn mistakes_apart_are_told_each() {
        let text = "a = True\nb = 1\n\n\nc = public\n\n[d]\ne = 1\n[d]\nf = 1\nf = 2\n";
        let told = told(text);
        let lines: Vec<usize> = told.iter().map(|(line, ..)| *line).collect();
        assert_eq!(lines, [1, 5, 9, 11], "{told:?}");
        let hints = ["true and false", "quotes", "double brackets", "take one"];
        assert!(told.iter().zip(hints).all(|((.., hint), part)| hint.contains(part)), "{told:?}");
    }
}
