//! Names of types that a person wrote: what can be no more than a name of a type, and which type the server says it is.

use super::sql::query;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error, Row};

/// A type's name as written, such as `numeric(10, 2)[]`, made of words, numbers, brackets, commas and points alone: it may
/// stand in a statement without ending it, or a part of it, and holds no comment, string or operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeName {
    tokens: Vec<String>,
}

impl TypeName {
    /// Reads a name. Whether there is such a type, only the server knows: [`resolve`].
    ///
    /// # Errors
    /// Where the text holds anything else.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = Vec::new();
        let mut rest = text.trim_matches(' ');
        while let Some(first) = rest.chars().next() {
            let length = token(first, rest).ok_or_else(|| format!("{:?} in the name of a type, at {rest:?}", first))?;
            let (taken, behind) = rest.split_at(length);
            if taken != " " {
                tokens.push(taken.to_owned());
            }
            rest = behind;
        }
        let name = Self { tokens };
        if name.tokens.is_empty() {
            return Err("the name of a type is empty".to_owned());
        }
        if !name.is_balanced() {
            return Err(format!("the brackets in {text:?} do not fit"));
        }
        Ok(name)
    }

    /// The name as SQL.
    pub fn sql(&self) -> String {
        let mut sql = String::new();
        let mut after_word = false;
        for token in &self.tokens {
            let word = is_word(token);
            if word && (after_word || sql.ends_with([')', ']'])) {
                sql.push(' ');
            }
            sql.push_str(token);
            after_word = word;
        }
        sql
    }

    /// Brackets are closed, and do not nest.
    fn is_balanced(&self) -> bool {
        let mut open = None;
        for token in &self.tokens {
            match (token.as_str(), open) {
                ("(" | "[", None) => open = Some(token.as_str()),
                (")", Some("(")) | ("]", Some("[")) => open = None,
                ("(" | "[" | ")" | "]", _) => return false,
                _ => {}
            }
        }
        open.is_none()
    }

    /// Whether both names, of which the server says that they are of one type (`base`), hold the same values: lengths,
    /// digits and fields agree.
    pub fn same_modifiers(&self, other: &Self, base: &str) -> bool {
        self.modifiers(base) == other.modifiers(base)
    }

    fn modifiers(&self, base: &str) -> Vec<String> {
        let base = base.trim_end_matches("[]");
        let plain = |token: &String| token.trim_matches('"').to_lowercase();
        if base == "interval" {
            return self
                .tokens
                .iter()
                .map(plain)
                .filter(|token| !["interval", "[", "]"].contains(&token.as_str()))
                .collect();
        }
        let inside = self.tokens.iter().skip_while(|token| *token != "(").skip(1).take_while(|token| *token != ")");
        let mut given: Vec<String> = inside.map(plain).filter(|token| token != ",").collect();
        let first = self.tokens.first().map(plain).unwrap_or_default();
        match base {
            "numeric" if given.len() == 1 => given.push("0".to_owned()),
            // A bare char or bit holds one; bpchar has no limit.
            "character" if given.is_empty() && ["char", "character", "nchar", "national"].contains(&first.as_str()) => {
                given.push("1".to_owned());
            }
            "bit" if given.is_empty() => given.push("1".to_owned()),
            // float(24) is real and float(53) is double precision.
            "real" | "double precision" => given.clear(),
            // Six digits are all that there are.
            time if time.starts_with("time") && given == ["6"] => given.clear(),
            _ => {}
        }
        given
    }
}

/// The length of the token that a text begins with; `None` where none does.
fn token(first: char, text: &str) -> Option<usize> {
    let while_ = |keep: fn(char) -> bool| text.find(|c| !keep(c)).unwrap_or(text.len());
    match first {
        'a'..='z' | 'A'..='Z' | '_' => Some(while_(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$')),
        '0'..='9' => Some(while_(|c| c.is_ascii_digit())),
        // Of a number alone: two of them would begin a comment.
        '-' if text[1..].starts_with(|c: char| c.is_ascii_digit()) => Some(1),
        '"' => quoted(text),
        ' ' | '(' | ')' | '[' | ']' | ',' | '.' => Some(1),
        _ => None,
    }
}

/// The length of the quoted name that a text begins with, quotes included.
fn quoted(text: &str) -> Option<usize> {
    let mut at = 1;
    loop {
        let end = at + text.get(at..)?.find('"')?;
        if text.get(end + 1..).is_some_and(|rest| rest.starts_with('"')) {
            at = end + 2;
            continue;
        }
        let inside = text.get(1..end)?;
        return (!inside.is_empty() && !inside.chars().any(char::is_control)).then_some(end + 1);
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '"')
}

/// A type that there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownType {
    /// Its OID in this database.
    pub oid: i64,
    /// Its name as the server writes it, without modifiers.
    pub name: String,
}

/// Asks the server which type a name is of, below a savepoint. The inner error says in the server's words why it is none.
///
/// # Errors
/// The server's, where it is not the name's fault.
pub async fn resolve(connection: &mut PgConnection, name: &TypeName) -> Result<Result<KnownType, String>, Error> {
    let mut savepoint = connection.begin().await?;
    let asked = query("SELECT t.oid::bigint, pg_catalog.format_type(t.oid, NULL) FROM (SELECT pg_catalog.to_regtype($1)::oid) t (oid)")
        .bind(name.sql())
        .fetch_one(&mut *savepoint)
        .await;
    let answer = match asked {
        Ok(row) => {
            let (oid, known): (Option<i64>, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
            oid.zip(known)
                .map(|(oid, name)| KnownType { oid, name })
                .ok_or_else(|| "the server has no such type".into())
        }
        // Older servers say so of a text that is no name; a modifier that does not go with the type is one everywhere.
        Err(Error::Database(error))
            if error.code().is_some_and(|code| code.starts_with("42") || code.starts_with("22")) =>
        {
            Err(error.message().to_owned())
        }
        Err(error) => return Err(error),
    };
    savepoint.rollback().await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::TypeName;

    #[test]
    fn names_of_types_are_read_and_written() {
        for (text, sql) in [
            ("timestamptz", "timestamptz"),
            (" varchar ( 40 ) ", "varchar(40)"),
            ("numeric(10, -2)[]", "numeric(10,-2)[]"),
            ("timestamp(3)  with time zone [ ] [3]", "timestamp(3) with time zone[][3]"),
            ("interval day to second(3)", "interval day to second(3)"),
            ("app.\"My \"\"Type\"\"\"", "app.\"My \"\"Type\"\"\""),
            ("public.geometry(Point, 4326)", "public.geometry(Point,4326)"),
        ] {
            assert_eq!(TypeName::parse(text).map(|name| name.sql()), Ok(sql.to_owned()), "{text}");
        }
    }

    #[test]
    fn nothing_else_is_a_name_of_a_type() {
        for text in [
            "",
            " ",
            "int); DROP TABLE x; --",
            "int4 -- x",
            "int4 /* x */",
            "int;",
            "'int'",
            "text DEFAULT 'x'",
            "a\nb",
            "\"a",
            "\"\"",
            "a + b",
            "$1",
            "numeric(10",
            "numeric)10(",
            "f((1))",
            "a[(1])",
            "tëxt",
            "a%TYPE",
            "\"a\nb\"",
            "- 1",
            "1--1",
            "E'\\n'",
            "U&\"x\"",
            "a\0",
        ] {
            assert!(TypeName::parse(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn modifiers_are_compared_by_what_they_mean() {
        let same = |one: &str, other: &str, base: &str| {
            let (Ok(one), Ok(other)) = (TypeName::parse(one), TypeName::parse(other)) else { panic!("{one}, {other}") };
            one.same_modifiers(&other, base)
        };
        for (one, other, base) in [
            ("varchar(40)", "character varying(40)", "character varying"),
            ("numeric(10)[]", "numeric(10,0)[]", "numeric[]"),
            ("char", "character(1)", "character"),
            ("bpchar", "bpchar", "character"),
            ("bit", "bit(1)", "bit"),
            ("float(24)", "real", "real"),
            ("timestamp(6)", "timestamp without time zone", "timestamp without time zone"),
            ("INTERVAL DAY TO SECOND(3)", "interval day to second(3)", "interval"),
        ] {
            assert!(same(one, other, base), "{one} and {other}");
        }
        for (one, other, base) in [
            ("varchar(40)", "character varying(41)", "character varying"),
            ("varchar", "character varying(41)", "character varying"),
            ("char", "bpchar", "character"),
            ("timestamptz(3)", "timestamp with time zone", "timestamp with time zone"),
            ("interval", "interval day to second", "interval"),
        ] {
            assert!(!same(one, other, base), "{one} and {other}");
        }
    }
}
