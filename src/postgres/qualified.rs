//! Whether a statement names the schema of every function that it calls.
//!
//! A function without one is looked for in every schema of the search path, and the one whose arguments fit best is called, with the rights
//! of whoever runs the statement. Whoever may create functions in one of them would have redis2pg call his (CVE-2018-1058).

/// Words that are written like functions but belong to the grammar: what they call is always PostgreSQL's own.
const GRAMMAR: &[&str] = &["coalesce", "extract", "greatest", "least", "nullif", "substring"];

/// Types that may have a length or a precision.
const TYPES: &[&str] = &[
    "bit",
    "bpchar",
    "char",
    "character",
    "decimal",
    "float",
    "interval",
    "numeric",
    "second",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "varbit",
    "varchar",
    "varying",
];

/// The first function that is called without its schema.
///
/// A call is a name in small letters with its parenthesis right behind it, as all statements here are written: keywords are in capitals,
/// tables and aliases have a space. Behind `::`, or behind a quoted name and a space, stands a type, and behind `AS` an alias.
pub(super) fn unqualified(sql: &str) -> Option<&str> {
    let mut at = 0;
    while let Some((from, to)) = token(sql, at) {
        at = to;
        let word = sql.get(from..to)?;
        let is_name = word.bytes().all(|byte| is_word(byte) && !byte.is_ascii_uppercase())
            && word.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let is_called = is_name && sql.as_bytes().get(to) == Some(&b'(');
        // Several arrays are taken apart side by side by grammar, which knows no schema.
        let is_grammar = GRAMMAR.contains(&word) || word == "unnest" && has_several_arguments(sql, to + 1);
        if is_called && !is_grammar && !TYPES.contains(&word) && !is_otherwise(sql, from) {
            return Some(word);
        }
    }
    None
}

/// Where the token that begins at `at` begins and ends: a literal, a quoted name, a word or any other byte.
fn token(sql: &str, at: usize) -> Option<(usize, usize)> {
    let bytes = sql.as_bytes();
    let end = match bytes.get(at)? {
        b'\'' => behind_literal(bytes, at, sql.get(..at).is_some_and(|before| before.ends_with('E'))),
        b'"' => behind_quote(bytes, at),
        byte if is_word(*byte) => {
            bytes.iter().skip(at).position(|byte| !is_word(*byte)).map_or(bytes.len(), |n| at + n)
        }
        _ => at + 1,
    };
    Some((at, end.min(bytes.len())))
}

/// Whether a comma stands between the parenthesis that is open at `at` and its end.
fn has_several_arguments(sql: &str, mut at: usize) -> bool {
    let mut depth = 0_usize;
    while let Some((from, to)) = token(sql, at) {
        match sql.get(from..to) {
            Some("(" | "[") => depth += 1,
            Some(")" | "]") if depth == 0 => return false,
            Some(")" | "]") => depth -= 1,
            Some(",") if depth == 0 => return true,
            _ => {}
        }
        at = to;
    }
    false
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || !byte.is_ascii()
}

/// What stands before the name says that it has its schema, or that it is a type or an alias.
fn is_otherwise(sql: &str, at: usize) -> bool {
    let before = sql.get(..at).unwrap_or_default();
    [".", "::", "\" ", "AS "].iter().any(|end| before.ends_with(end))
}

/// The place behind the quotes that begin at `at`. Doubled ones are two names side by side, which is the same here.
fn behind_quote(bytes: &[u8], at: usize) -> usize {
    bytes.iter().skip(at + 1).position(|byte| *byte == b'"').map_or(bytes.len(), |length| at + length + 2)
}

/// The place behind the literal that begins at `at`; `escapes`: a backslash takes the next byte with it.
fn behind_literal(bytes: &[u8], at: usize, escapes: bool) -> usize {
    let mut at = at + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' if escapes => at += 2,
            b'\'' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::unqualified;

    #[test]
    fn functions_without_their_schema_are_found() {
        for (sql, function) in [
            ("SELECT count(*) FROM t", "count"),
            ("SELECT coalesce(max(x), 0)", "max"),
            ("SELECT pg_catalog.lower(trim_it(x))", "trim_it"),
            ("SELECT 'it''s', now()", "now"),
            (r"SELECT E'\\'' (' || now()", "now"),
            ("SELECT \"a\"\"b(\", now()", "now"),
            ("SELECT \"a\"FROM now()", "now"),
            ("now()", "now"),
            ("SELECT x[0:cardinality(x)]", "cardinality"),
            ("SELECT * FROM unnest(ARRAY[1, 2])", "unnest"),
            ("SELECT * FROM unnest('{a,b}'::text[]) u (a)", "unnest"),
        ] {
            assert_eq!(unqualified(sql), Some(function), "{sql}");
        }
    }

    #[test]
    fn what_is_no_function_or_has_its_schema_is_not() {
        for sql in [
            "SELECT pg_catalog.count(*) FROM t WHERE a IN (1) AND b = ANY(ARRAY(SELECT 1))",
            "INSERT INTO t (a) VALUES (coalesce($1, 0)) ON CONFLICT (a) DO NOTHING",
            "SELECT x::varchar(10), x::numeric(3,1), x::vector(3) FROM pg_catalog.unnest($1) u (x)",
            "SELECT 'now()', \"now()\", a OPERATOR(pg_catalog.=) b",
            "SELECT * FROM pg_catalog.jsonb_to_record(k) AS s(\"id\" vector(3))",
            "SELECT * FROM unnest($1::text[], $2::text[]) WITH ORDINALITY u (a, b, place)",
            "SELECT substring(x FROM '[0-9]+$'), extract(epoch FROM y)",
            "SELECT 'open",
            "SELECT \"open",
            "",
        ] {
            assert_eq!(unqualified(sql), None, "{sql}");
        }
    }
}
