//! Sequences of columns that a run wrote: moved past what is in the table, so that the application draws no value that is
//! there already.
//!
//! Only ever onward, and beside an application that draws at the same time: a short way is gone by drawing, which no other
//! session can cross; only over a long one the sequence is set, and not where it has got there meanwhile.

use super::link::{Link, Trouble};
use super::setup;
use crate::config::Settings;
use crate::model::{Failure, TableName};
use crate::postgres::{FedColumn, Steps, failure, fed_columns, ident, literal, query, shown_table, table_ident};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error, Row};
use std::collections::BTreeSet;

/// What is to be told of a sequence.
pub(super) enum Told {
    /// It was moved.
    Moved(String),
    /// It was not, and its next value may be one that is in the table.
    Left(String),
}

/// So many values are drawn one by one: about a fifth of a second. For another session to get past a value that is set, it would have to
/// draw more than these between two calls in one statement.
const DRAWN: i64 = 100_000;

/// Moves the sequences of a table's written columns; gives what is to be told.
///
/// # Errors
/// The server's.
pub(super) async fn move_on(
    link: &mut Link,
    (table, written): (&TableName, &BTreeSet<String>),
    settings: &Settings,
) -> Result<Vec<Told>, Failure> {
    let what = format!("looking for the sequences of {table}");
    let fed = link.read(&what, async |connection: &mut _| look(connection, table).await).await?;
    let mut told = Vec::new();
    for column in fed.iter().filter(|column| written.contains(&column.column)) {
        let Some(steps) = column.steps else { continue };
        let way = Way { table, column, steps };
        let what = format!("moving the sequence {}", column.sequence);
        let go = async |connection: &mut _| way.go(connection, settings).await;
        told.extend(link.call(&what, go).await?);
    }
    Ok(told)
}

async fn look(connection: &mut PgConnection, table: &TableName) -> Result<Vec<FedColumn>, Error> {
    let mut transaction = connection.begin().await?;
    let fed = fed_columns(&mut transaction, table).await?;
    transaction.commit().await?;
    Ok(fed)
}

/// A sequence and the column that it is to be past.
struct Way<'a> {
    table: &'a TableName,
    column: &'a FedColumn,
    steps: Steps,
}

impl Way<'_> {
    /// Goes it in one transaction; gives what is to be told of it. Twice is as good as once.
    async fn go(&self, connection: &mut PgConnection, settings: &Settings) -> Result<Option<Told>, Trouble> {
        let mut transaction = connection.begin().await?;
        setup::limits(settings).set(&mut transaction).await?;
        let told = self.pass(&mut transaction).await.map_err(|error| {
            let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
            // A look through a column without an index takes as long the next time.
            if code == "57014" { failure("looking for its last value", error).into() } else { Trouble::from(error) }
        })?;
        transaction.commit().await?;
        Ok(told)
    }

    async fn pass(&self, connection: &mut PgConnection) -> Result<Option<Told>, Error> {
        let Steps { increment, least, greatest, start, cycles } = self.steps;
        let last = if self.column.readable { self.last(connection).await? } else { None };
        // Values of an unused sequence begin with the first, unless somebody set another one.
        let mut from = last.unwrap_or_else(|| start.saturating_sub(increment));
        let value = self.furthest(connection).await?.filter(|value| self.is_past(*value, from));
        let Some(value) = value else { return Ok(None) };
        if value < least || value > greatest {
            return Ok(Some(Told::Left(format!("{} ends before it and cannot be moved there", self.behind(value)))));
        }
        if cycles || !self.column.readable || !self.column.settable {
            let why = if cycles { "cycles, and is left alone" } else { "may not be moved by the role" };
            let text = format!("{} {why}. To move it: {}", self.behind(value), self.by_hand(value));
            return Ok(Some(Told::Left(text)));
        }
        if last.is_none() {
            from = self.draw_one(connection).await?;
            if !self.is_past(value, from) {
                return Ok(None);
            }
        }
        // The next value after these is behind that one.
        let draws = from.abs_diff(value) / increment.unsigned_abs();
        match i64::try_from(draws) {
            Ok(0) => return Ok(None),
            Ok(draws) if draws <= DRAWN => self.draw(connection, draws).await?,
            _ => self.set(connection, value).await?,
        }
        let sequence = shown_table(&self.column.sequence);
        let (table, column) = (self.table, &self.column.column);
        Ok(Some(Told::Moved(format!("the sequence {sequence} was moved past {value}, the last in {table}.{column}"))))
    }

    /// The value in the table that the sequence must be past: the greatest, or in a descending sequence the least. Numbers
    /// that no sequence gives (NaN, and those that are no bigint) are left out, fractions rounded away from what it gives next.
    async fn furthest(&self, connection: &mut PgConnection) -> Result<Option<i64>, Error> {
        let (most, round) = if self.steps.increment > 0 { ("max", "ceil") } else { ("min", "floor") };
        let (column, table) = (ident(&self.column.column), table_ident(self.table));
        let statement = if self.column.numeric {
            let (least, greatest) = (i64::MIN, i64::MAX);
            format!(
                "SELECT pg_catalog.{round}(pg_catalog.{most}({column}))::bigint FROM {table} WHERE {column} BETWEEN {least} AND {greatest}"
            )
        } else {
            format!("SELECT pg_catalog.{most}({column})::bigint FROM {table}")
        };
        query(statement).fetch_one(connection).await?.try_get(0)
    }

    /// The last value that it gave to anybody, or the one before that which it gives first; `None`: nobody has drawn from
    /// it, and which value it gives first the role may not read.
    async fn last(&self, connection: &mut PgConnection) -> Result<Option<i64>, Error> {
        if !self.column.selectable {
            let statement = format!("SELECT pg_catalog.pg_sequence_last_value({})", self.sequence());
            return query(statement).fetch_one(connection).await?.try_get(0);
        }
        let statement = format!("SELECT last_value, is_called FROM {}", table_ident(&self.column.sequence));
        let row = query(statement).fetch_one(connection).await?;
        let (last, called): (i64, bool) = (row.try_get(0)?, row.try_get(1)?);
        Ok(Some(if called { last } else { last.saturating_sub(self.steps.increment) }))
    }

    /// Draws a value, which tells where the sequence is.
    async fn draw_one(&self, connection: &mut PgConnection) -> Result<i64, Error> {
        query(format!("SELECT pg_catalog.nextval({})", self.sequence())).fetch_one(connection).await?.try_get(0)
    }

    async fn draw(&self, connection: &mut PgConnection, values: i64) -> Result<(), Error> {
        let statement = format!(
            "SELECT pg_catalog.count(pg_catalog.nextval({})) FROM pg_catalog.generate_series(1, {values})",
            self.sequence()
        );
        query(statement).fetch_one(connection).await.map(|_| ())
    }

    /// Sets it, unless it has got there. Where the role cannot read what comes first, a value was drawn, and the last one is known.
    async fn set(&self, connection: &mut PgConnection, value: i64) -> Result<(), Error> {
        let (sequence, order) = (self.sequence(), if self.steps.increment > 0 { "<" } else { ">" });
        let statement = if self.column.selectable {
            // As numeric: the value before the first one may be no bigint.
            let at =
                format!("CASE WHEN is_called THEN last_value ELSE last_value - {}::numeric END", self.steps.increment);
            format!(
                "SELECT pg_catalog.setval({sequence}, {value}) FROM {} WHERE {at} {order} {value}",
                table_ident(&self.column.sequence)
            )
        } else {
            format!(
                "SELECT pg_catalog.setval({sequence}, {value}) WHERE pg_catalog.pg_sequence_last_value({sequence}) {order} {value}"
            )
        };
        query(statement).fetch_optional(connection).await.map(|_| ())
    }

    /// Whether a value comes behind another one in the sequence's order.
    fn is_past(&self, value: i64, other: i64) -> bool {
        if self.steps.increment > 0 { value > other } else { value < other }
    }

    /// It, as an argument of the server's functions.
    fn sequence(&self) -> String {
        format!("{}::regclass", literal(&table_ident(&self.column.sequence)))
    }

    fn behind(&self, value: i64) -> String {
        let sequence = shown_table(&self.column.sequence);
        format!("{}.{} has the value {value}, and the sequence {sequence}", self.table, self.column.column)
    }

    /// What somebody else can do, with a sequence that may be further than is known here.
    fn by_hand(&self, value: i64) -> String {
        let (sequence, further) =
            (shown_table(&self.column.sequence), if self.steps.increment > 0 { "greatest" } else { "least" });
        format!("SELECT setval({}, {further}({value}, last_value)) FROM {sequence};", literal(&sequence))
    }
}
