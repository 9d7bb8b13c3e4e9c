//! How a function is written: a name, and arguments in brackets: texts in quotes, and whole numbers.

/// A function as it is written.
#[derive(Debug, PartialEq)]
pub(super) struct Call<'a> {
    pub(super) name: &'a str,
    pub(super) arguments: Vec<Argument>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Argument {
    Text(String),
    Number(i64),
}

impl<'a> Call<'a> {
    /// Reads a call such as `lower` or `split(':', -1)`. In a text, its own quote is written twice; nothing else is
    /// special.
    ///
    /// # Errors
    /// What is wrong, without the call itself.
    pub(super) fn parse(text: &'a str) -> Result<Self, String> {
        let text = text.trim();
        let Some((name, rest)) = text.split_once('(') else { return Ok(Self { name: text, arguments: Vec::new() }) };
        let mut rest = rest.trim_start();
        let mut arguments = Vec::new();
        while !(arguments.is_empty() && rest.starts_with(')')) {
            let (argument, tail) = argument(rest)?;
            arguments.push(argument);
            rest = tail.trim_start();
            match rest.strip_prefix(',') {
                Some(tail) => rest = tail.trim_start(),
                None => break,
            }
        }
        match rest.strip_prefix(')').map(str::trim) {
            Some("") => Ok(Self { name: name.trim_end(), arguments }),
            Some(more) => Err(format!("`{more}` follows the closing bracket")),
            None if rest.is_empty() => Err("the bracket is not closed".into()),
            None => Err(format!("a comma or `)` is expected before `{rest}`")),
        }
    }
}

/// Reads the argument at the start of `text`; gives what follows it.
fn argument(text: &str) -> Result<(Argument, &str), String> {
    if let Some(quote) = text.chars().next().filter(|quote| matches!(quote, '\'' | '"')) {
        return quoted(text, quote);
    }
    let (word, tail) = text.split_at(text.find([',', ')']).unwrap_or(text.len()));
    match word.trim_end() {
        "" => Err("an argument is missing".into()),
        word => match word.parse() {
            Ok(number) => Ok((Argument::Number(number), tail)),
            Err(_) => Err(format!("`{word}` is neither a whole number nor a text in quotes")),
        },
    }
}

fn quoted(text: &str, quote: char) -> Result<(Argument, &str), String> {
    let (mut content, mut rest) = (String::new(), text.get(1..).unwrap_or_default());
    loop {
        let (plain, tail) = rest.split_once(quote).ok_or_else(|| format!("the text {text} has no closing quote"))?;
        content.push_str(plain);
        match tail.strip_prefix(quote) {
            Some(tail) => {
                content.push(quote);
                rest = tail;
            }
            None => return Ok((Argument::Text(content), tail)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Argument::{Number, Text};
    use super::Call;

    #[test]
    fn names_texts_and_numbers() {
        let call = |text: &str| {
            let call = Call::parse(text).unwrap();
            (call.name.to_owned(), call.arguments)
        };
        assert_eq!(call(" lower "), ("lower".into(), vec![]));
        assert_eq!(call("lower()"), ("lower".into(), vec![]));
        assert_eq!(call("split(':', -1)"), ("split".into(), vec![Text(":".into()), Number(-1)]));
        assert_eq!(
            call(r#"replace ( "it's" ,'"' ) "#),
            ("replace".into(), vec![Text("it's".into()), Text("\"".into())])
        );
        assert_eq!(call(r"regex('it''s (\d+), \)', 1)").1, [Text(r"it's (\d+), \)".into()), Number(1)]);
        assert_eq!(call("prefix('')").1, [Text(String::new())]);
        assert_eq!(call("prefix('é😀')").1, [Text("é😀".into())]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = |text: &str| Call::parse(text).unwrap_err();
        assert!(error("split(':', 1").contains("not closed"));
        assert!(error("split(':' 1)").contains("expected before `1)`"));
        assert!(error("split(:, 1)").contains("`:` is neither"));
        assert!(error("split(':', 1.5)").contains("`1.5` is neither"));
        assert!(error("split(':',)").contains("missing"));
        assert!(error("split(,)").contains("missing"));
        assert!(error("prefix('a)").contains("no closing quote"));
        assert!(error("lower() x").contains("`x` follows"));
        assert!(error("lower(").contains("missing"));
    }
}
