//! The reject of a row that the server refused, or took and did not store.

use crate::model::{Reject, Row};
use sqlx::Error;
use sqlx::postgres::PgDatabaseError;

/// A row that the server's error is about.
pub(in crate::sink) fn refused(row: &Row, error: &Error) -> Reject {
    let Some(database) = error.as_database_error() else { return not_stored(row) };
    let code = database.code().unwrap_or_default().into_owned();
    let reason = match code.as_str() {
        "22001" => "too_long",
        "22003" => "out_of_range",
        "23502" => "not_null",
        "23503" => "foreign_key",
        "23505" => "unique",
        "23514" => "check",
        "23P01" => "exclusion",
        // A missing right has this code too, and is no row's fault: see `verdict`.
        "42501" => "row_security",
        _ => "refused",
    };
    let constraint = database.constraint().map(|name| format!(" (constraint {name})")).unwrap_or_default();
    let detail = format!("PostgreSQL: {}{constraint}", database.message());
    let mut reject = Reject::of_row(row, reason, detail);
    reject.sqlstate = Some(code);
    reject.column = database.try_downcast_ref::<PgDatabaseError>().and_then(|error| error.column()).map(str::to_owned);
    reject
}

/// A row that is not there although the server took it.
pub(super) fn not_stored(row: &Row) -> Reject {
    let detail = "the server took the row, and it is not there under its key; a trigger or a rule may drop it or give it \
                  another key, or row-level security hides a row with its key";
    Reject::of_row(row, "not_stored", detail)
}
