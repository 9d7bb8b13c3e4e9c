//! What a server error means for a load: whose fault it is and what to do. Sorted by SQLSTATE; one code is told apart by
//! the server's function that raised it.
//!
//! Codes: PostgreSQL documentation, appendix "PostgreSQL Error Codes".

use crate::model::{Exit, Failure, Side};
use sqlx::Error;
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// One row of the batch is at fault: find it and load the others.
    Row,
    /// A row's parent is missing (23503).
    ForeignKey,
    /// A row with this key is there already (23505).
    Unique,
    /// Nobody's fault, and it may pass: try the batch again.
    Transient,
    /// No row is at fault and it will not pass: stop, keep the checkpoint.
    Systemic,
}

/// Sorts an error.
pub fn verdict(error: &Error) -> Verdict {
    match error {
        // A pooler has one code for all that befalls it, and always as FATAL: its server went away.
        Error::Database(database) if is_pooler(database.as_ref()) => Verdict::Transient,
        Error::Database(database) if is_policy(database.as_ref()) => Verdict::Row,
        Error::Database(database) => database.code().map_or(Verdict::Systemic, |code| by_sqlstate(&code)),
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::PoolTimedOut | Error::WorkerCrashed => {
            Verdict::Transient
        }
        _ => Verdict::Systemic,
    }
}

/// Whether an error, met while texts were read as a type and nothing else was done, is the fault of a text.
///
/// Types of extensions say so with any code, 42601 (syntax_error) and XX000 (internal_error) among them.
pub fn refuses_value(error: &Error) -> bool {
    error.as_database_error().and_then(DatabaseError::code).is_some_and(|code| {
        let of_server = matches!(code.get(..2), Some("08" | "25" | "40" | "53" | "55" | "57" | "58" | "F0"));
        !of_server && !matches!(code.as_ref(), "42501" | "XX001" | "XX002")
    })
}

fn is_pooler(error: &dyn DatabaseError) -> bool {
    let severity = error.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::severity);
    error.code().as_deref() == Some("08P01") && matches!(severity, Some(PgSeverity::Fatal))
}

/// Whether a policy of row-level security refused a row. It shares its code with a missing right (`aclcheck_error`), which
/// no other row would mend; the name of the server's function is not translated.
fn is_policy(error: &dyn DatabaseError) -> bool {
    let routine = error.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::routine);
    error.code().as_deref() == Some("42501") && routine == Some("ExecWithCheckOptions")
}

fn by_sqlstate(code: &str) -> Verdict {
    match code {
        "23503" => Verdict::ForeignKey,
        "23505" => Verdict::Unique,
        // 55P03 lock_not_available: our lock_timeout; 57014 query_canceled: a statement_timeout on a busy server.
        // 26000: a pooler changed the server between two messages; 55006 object_in_use; 25P03 idle_in_transaction_session_timeout; 57P05 idle_session_timeout.
        "40001" | "40P01" | "53300" | "55P03" | "55006" | "57014" | "57P01" | "57P02" | "57P03" | "57P05" | "25P03"
        | "26000" => Verdict::Transient,
        // 22P04 bad_copy_file_format and 08P01 mean that the encoder is wrong, which no other row would mend.
        "22P04" | "08P01" => Verdict::Systemic,
        _ => match code.get(..2) {
            Some("08" | "40") => Verdict::Transient,
            // 27: a trigger changed a row that the same statement was to change; 44: WITH CHECK OPTION; P0: RAISE in a trigger, which speaks of the
            // row it was called for.
            Some("22" | "23" | "27" | "44" | "54" | "P0") => Verdict::Row,
            _ => Verdict::Systemic,
        },
    }
}

/// The 1-based line of a binary COPY, sent as a statement of its own, that the server blames.
///
/// The context's text is translated by `lc_messages`; where it is not English the answer is `None` and the caller
/// bisects. The context itself carries data and must not be logged.
pub fn error_line(error: &Error) -> Option<usize> {
    line_in(error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?.r#where()?)
}

/// The line that the last line of a context names.
///
/// A context goes from the innermost call to the outermost, which is the COPY. What is before it may quote statements
/// of functions, with data in them that looks like anything; that of a binary COPY itself quotes none.
fn line_in(context: &str) -> Option<usize> {
    let (_, rest) = context.lines().next_back()?.strip_prefix("COPY ")?.split_once(", line ")?;
    rest.split_once(", column ").map_or(rest, |(line, _)| line).parse().ok()
}

/// What an error says. Not as it shows itself: the driver adds the line of the server's own source code that raised it.
pub fn describe(error: &Error) -> String {
    match error.as_database_error() {
        Some(database) => database.message().to_owned(),
        None => error.to_string(),
    }
}

/// The same with its code, where it is the server's.
pub fn said(error: &Error) -> String {
    let code = error.as_database_error().and_then(DatabaseError::code);
    code.map_or_else(|| describe(error), |code| format!("{} (SQLSTATE {code})", describe(error)))
}

/// The failure that an error ends a run with, in words that name the side and what to do.
pub fn failure(doing: &str, error: Error) -> Failure {
    let Some(database) = error.as_database_error() else {
        return Failure::postgres(
            format!("{doing}: {error}"),
            "Check that the server is up and reachable, then use --resume.",
        )
        .because(error);
    };
    let code = database.code().unwrap_or_default().into_owned();
    let (exit, hint) = match code.as_str() {
        "28P01" | "28000" => {
            (Exit::Usage, "Check user and password in target.url / --to (or target.password_file, ~/.pgpass).")
        }
        "3D000" => (Exit::Usage, "Check the database name in target.url / --to, or create the database first."),
        "42501" => (Exit::Usage, "Grant the role in target.url / --to what is missing, or connect as another role."),
        "25006" => (Exit::Postgres, "The server is read-only (a standby?). Point target.url / --to at the primary."),
        "53100" => (Exit::Postgres, "The disk is full. Make room, then go on with --resume."),
        "53300" => (
            Exit::Postgres,
            "No connection is free. Lower flow.writers, or raise the limit: max_connections of the server, or CONNECTION \
             LIMIT of the role or of the database.",
        ),
        "57014" => (
            Exit::Postgres,
            "Where it took too long, raise target.statement_timeout (--statement-timeout). The role or the database may have a \
             statement_timeout of its own (SHOW statement_timeout), which bounds what is written into the ledger.",
        ),
        code if code.starts_with("42") => (Exit::Usage, "The table is not what the mapping expects; see the message."),
        code if code.starts_with("08") || code.starts_with("57P") => {
            (Exit::Postgres, "Check that the server is up and reachable, then go on with --resume.")
        }
        _ => (Exit::Postgres, ""),
    };
    let message = format!("{doing}: {} (SQLSTATE {code})", database.message());
    Failure::new(exit, Side::Postgres, message, hint)
}

/// Whether the server cannot do what a statement says to this table: a rule does something else instead, and then a DELETE
/// cannot say what it deleted.
pub fn is_not_supported(error: &Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "0A000")
}

#[cfg(test)]
mod tests {
    use super::{Verdict, by_sqlstate, line_in};

    #[test]
    fn a_copys_own_line_is_found_below_what_its_functions_quote() {
        assert_eq!(line_in("COPY redis2pg_stage_0, line 7"), Some(7));
        assert_eq!(line_in("COPY redis2pg_stage_0, line 12, column code"), Some(12));
        assert_eq!(
            line_in("PL/pgSQL function f(text) line 3 at RAISE\nCOPY redis2pg_stage_0, line 5, column a"),
            Some(5)
        );
        let quoted = "SQL statement \"SELECT 'x\nCOPY redis2pg_stage_0, line 1'\"\nCOPY redis2pg_stage_0, line 9";
        assert_eq!(line_in(quoted), Some(9));
    }

    #[test]
    fn a_context_that_is_not_understood_blames_no_row() {
        for context in [
            "",
            "COPY redis2pg_stage_0, Zeile 7, Spalte code",
            "COPY redis2pg_stage_0, ligne 7, colonne code",
            "COPY redis2pg_stage_0, 行 7, 列 code",
            "redis2pg_stage_0のCOPY、行 7、列 code",
            "redis2pg_stage_0 복사, 7번째 줄, code 열",
            "SQL-Anweisung »SELECT 'x\nCOPY redis2pg_stage_0, line 1'«\nCOPY redis2pg_stage_0, Zeile 9",
            "COPY redis2pg_stage_0, line 7\nSQL statement \"x\"",
            "COPY redis2pg_stage_0, line 7: \"text\"",
            "COPY redis2pg_stage_0, line 99999999999999999999",
        ] {
            assert_eq!(line_in(context), None, "{context}");
        }
    }

    #[test]
    fn a_full_disk_is_no_rows_fault() {
        for (code, expected) in [
            ("53100", Verdict::Systemic),
            ("42501", Verdict::Systemic),
            ("25006", Verdict::Systemic),
            ("22P04", Verdict::Systemic),
            ("23514", Verdict::Row),
            ("22001", Verdict::Row),
            ("54000", Verdict::Row),
            ("P0001", Verdict::Row),
            ("23505", Verdict::Unique),
            ("23503", Verdict::ForeignKey),
            ("40P01", Verdict::Transient),
            ("57P01", Verdict::Transient),
            ("08006", Verdict::Transient),
        ] {
            assert_eq!(by_sqlstate(code), expected, "{code}");
        }
    }
}
