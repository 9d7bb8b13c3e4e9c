//! Reading a chain's names; everything that is wrong with it is said at once.

use super::step::{Kind, Step};
use super::{Chain, Form};

/// What is wrong with a chain, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainError {
    /// A sentence for people.
    pub message: String,
    /// What to do.
    pub hint: &'static str,
}

/// What a chain begins with where some values are a number alone.
const NUMBER: &str = "number?";

const STEPS: &str = "Steps: gzip, zlib, zstd, lz4, snappy (each also with `?`: where its magic bytes are), deflate, \
                     lz4_block, snappy_block, lzf, base64, base64url, hex, php_string, php_string?, strip:PREFIX, \
                     strip?:PREFIX; before all others number?. The last one \
                     says what the bytes are: json, text, bytes, msgpack, php.";

impl Chain {
    /// Reads a chain such as `["zstd?", "json"]`.
    ///
    /// # Errors
    /// Everything that is wrong: a name that is no step, `?` where nothing tells whether the step applies, no form at
    /// the end, a form before the end.
    pub fn parse(names: &[String]) -> Result<Self, Vec<ChainError>> {
        let mut wrong = Vec::new();
        let mut chain = Self::default();
        let Some((last, mut steps)) = names.split_last() else {
            return Err(vec![error("`decode` is empty".to_owned(), STEPS)]);
        };
        if let [first, rest @ ..] = steps
            && first == NUMBER
        {
            (chain.numbers, steps) = (true, rest);
        }
        match Form::named(last) {
            Some(form) => chain.form = form,
            None => wrong.push(no_form(last)),
        }
        if chain.numbers && !matches!(chain.form, Form::Msgpack | Form::Php) && wrong.is_empty() {
            let message = format!("`decode`: `{NUMBER}` does nothing before `{last}`");
            wrong.push(error(message, "JSON has numbers of its own, text and bytes have none: take it out."));
        }
        for name in steps.iter().chain(Form::named(last).is_none().then_some(last)) {
            match step(name) {
                Ok(step) => chain.steps.push(step),
                Err(error) => wrong.push(error),
            }
        }
        if wrong.is_empty() { Ok(chain) } else { Err(wrong) }
    }
}

fn error(message: String, hint: &'static str) -> ChainError {
    ChainError { message, hint }
}

#[cold]
fn no_form(last: &str) -> ChainError {
    let message = format!("`decode` ends in `{last}`, which does not say what the bytes are then");
    error(message, "End it in what the value is: json, text, bytes, msgpack, php.")
}

fn step(name: &str) -> Result<Step, ChainError> {
    if name == NUMBER {
        let message = format!("`decode`: `{NUMBER}` is about the value as it is in Redis");
        return Err(error(message, "Write it before all other steps."));
    }
    if Form::named(name).is_some() {
        let message = format!("`decode` has `{name}` before its end");
        return Err(error(message, "What the bytes are is the last word of the chain: take the rest out."));
    }
    for (mark, optional) in [("strip:", false), ("strip?:", true)] {
        match name.strip_prefix(mark) {
            Some("") => return Err(error(format!("`decode`: `{name}` names no prefix"), "Write it behind the colon.")),
            Some(prefix) => return Ok(Step { kind: Kind::Strip(prefix.as_bytes().into()), optional }),
            None => {}
        }
    }
    let (bare, optional) = name.strip_suffix('?').map_or((name, false), |bare| (bare, true));
    let Some(kind) = Kind::named(bare) else {
        return Err(error(format!("`decode` names `{name}`, which is no step"), STEPS));
    };
    if optional && !kind.has_magic() {
        let message = format!("`decode`: `{name}`: nothing in the bytes tells whether they are {bare}");
        return Err(error(message, "Name it without `?` where all values are, or split the mapping."));
    }
    Ok(Step { kind, optional })
}

#[cfg(test)]
mod tests {
    use super::{Chain, Form};

    fn parse(names: &[&str]) -> Result<Chain, String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Chain::parse(&names)
            .map_err(|errors| errors.iter().map(|e| format!("{} {}\n", e.message, e.hint)).collect::<String>())
    }

    #[test]
    fn a_chain_is_steps_and_a_form() {
        assert_eq!(parse(&["json"]), Ok(Chain::default()));
        for (names, form, inflates) in [
            (&["zstd?", "zlib?", "gzip?", "json"][..], Form::Json, true),
            (&["strip?:gz:", "base64", "text"], Form::Text, false),
            (&["raw"], Form::Bytes, false),
            (&["lzf", "bytes"], Form::Bytes, true),
        ] {
            let chain = parse(names).unwrap();
            assert_eq!((chain.form, chain.inflates(), chain.steps.len()), (form, inflates, names.len() - 1));
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused_with_a_hint() {
        for (names, said) in [
            (&[][..], "empty"),
            (&["gzip?"], "ends in `gzip?`"),
            (&["json", "gzip?", "json"], "before its end"),
            (&["lzf?", "json"], "nothing in the bytes"),
            (&["strip:", "json"], "no prefix"),
            (&["brotli", "json"], "no step"),
            (&["number?", "json"], "does nothing before `json`"),
            (&["zlib?", "number?", "php"], "before all other steps"),
            (&["plain"], "no step"),
        ] {
            let found = parse(names).unwrap_err();
            assert!(found.contains(said), "{names:?}: {found}");
        }
        let both = parse(&["hex?", "text", "gzip"]).unwrap_err();
        assert_eq!(both.lines().count(), 3, "{both}");
    }
}
