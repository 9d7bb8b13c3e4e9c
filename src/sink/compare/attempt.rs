//! One attempt at a batch's rows: one transaction, which is taken back at its end.

use super::CompareOptions;
use super::in_ledger::were_there;
use super::met::Met;
use super::statements::{compare, compare_and_sum, compared, values};
use crate::model::{ColumnValues, Database, Moment, Reject, Row, Shape};
use crate::postgres::{CopyBuffer, READ_COMMITTED, error_line, query, refuses_value, script};
use crate::sink::load::casts::{refused_texts, unread};
use crate::sink::load::columns::{Columns, grouped, kept_apart_in_stage, send};
use crate::sink::load::statements::Statements;
use crate::sink::owned::{SliceSums, SumsWanted, row_sum};
use crate::sink::ownership::TEXT_SETTINGS;
use crate::sink::table::{LoadTable, Provenance};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Error, Row as _};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The server said no; `row`: the row that it blamed, by its place.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) row: Option<usize>,
    pub(super) error: Error,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { row: None, error }
    }
}

/// What the rows of an attempt met, by their places: what is not here is equal.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) met: BTreeMap<usize, Met>,
    /// Rows that the server cannot read.
    pub(super) refused: BTreeMap<usize, Reject>,
    /// The values of some of those that differ.
    pub(super) values: BTreeMap<usize, Vec<ColumnValues>>,
    /// The rows that were met, where sums are wanted.
    pub(super) sums: SliceSums,
    /// When it was first asked what rows meet, once they were there to be compared.
    pub(super) began: Option<Moment>,
}

impl Found {
    /// One row, which the server refuses.
    pub(super) fn refused(reject: Reject) -> Self {
        Self { refused: [(0, reject)].into(), ..Self::default() }
    }
}

/// All that an attempt needs beside its connection.
pub(super) struct Attempt<'a> {
    pub(super) table: &'a LoadTable,
    pub(super) database: Database,
    /// The run that is validated.
    pub(super) run: Uuid,
    pub(super) options: &'a CompareOptions,
    pub(super) rows: &'a [Row],
}

/// The rows of one staging table: the statements, and their places.
type Staged = (Statements, Vec<usize>);

impl Attempt<'_> {
    /// Stages the rows and asks what they meet.
    pub(super) async fn run(&self, connection: &mut PgConnection, buffer: &mut CopyBuffer) -> Result<Found, Refused> {
        let mut found = Found::default();
        if self.rows.is_empty() {
            return Ok(found);
        }
        let mut transaction = connection.begin().await?;
        script(settings(self.options)).execute(&mut *transaction).await?;
        let wanted = self.sums_wanted();
        if self.table.casts() || self.table.provenance == Provenance::Ledger || wanted.is_some() {
            script(TEXT_SETTINGS).execute(&mut *transaction).await?;
        }
        let staging = (self.options.staging, Uuid::new_v4());
        let mut staged: Vec<Staged> = Vec::new();
        let groups = grouped(self.rows, kept_apart_in_stage(self.table));
        for (number, rows) in groups.into_iter().enumerate() {
            let columns = Columns::of(rows.iter().filter_map(|place| self.rows.get(*place)));
            let sql = Statements::build(self.table, self.database, (columns, number), staging);
            query(&sql.create).execute(&mut *transaction).await?;
            staged.push((sql, rows));
        }
        // From here on the server itself sees to it that no table of anybody's is written; temporary ones may be.
        if !self.options.staging.outlives() {
            query("SET TRANSACTION READ ONLY").execute(&mut *transaction).await?;
        }
        for staged in &staged {
            self.compare(&mut transaction, buffer, (staged, wanted), &mut found).await?;
        }
        transaction.rollback().await?;
        Ok(found)
    }

    /// The runs whose rows are to be summed up, and the pages of a slice. A row whose lineage is in the ledger is not known to be that of
    /// its key without a look there.
    fn sums_wanted(&self) -> Option<(&SumsWanted, u64)> {
        let is_told = self.table.provenance != Provenance::Ledger && self.options.proof.is_none();
        let wanted = self.options.sums.as_deref().filter(|_| is_told)?;
        wanted.steps.get(&self.table.mapping).map(|step| (wanted, *step))
    }

    async fn compare(
        &self,
        connection: &mut PgConnection,
        buffer: &mut CopyBuffer,
        ((sql, rows), wanted): (&Staged, Option<(&SumsWanted, u64)>),
        found: &mut Found,
    ) -> Result<(), Refused> {
        let sent: Vec<&Row> = rows.iter().filter_map(|place| self.rows.get(*place)).collect();
        send(connection, buffer, &sql.copy, (&sent, sql.columns), true).await.map_err(|error| {
            let row = error_line(&error).and_then(|line| rows.get(line.checked_sub(1)?).copied());
            Refused { row, error }
        })?;
        self.find_unreadable(connection, (sql, rows), found).await?;
        let of = (self.table, self.database, self.run);
        let name = self.table.name.to_string();
        let asked = match (wanted, &self.options.proof) {
            (Some((wanted, step)), _) => {
                query(compare_and_sum(of, sql, self.options, step)).bind(name).bind(&wanted.runs)
            }
            (None, Some(proof)) => query(compare(of, sql, self.options)).bind(name).bind(&*proof.runs),
            (None, None) => query(compare(of, sql, self.options)).bind(name),
        };
        found.began.get_or_insert_with(Moment::now);
        let met = asked.fetch_all(&mut *connection).await?;
        let differing = self.take(&met, (rows, wanted.is_some()), found)?;
        if !differing.is_empty() {
            self.read_values(connection, (sql, rows), differing, found).await?;
        }
        if self.table.explodes && self.table.provenance == Provenance::Ledger || self.table.tells_left_rows() {
            self.look_in_ledger(connection, (sql, rows), found).await?;
        }
        Ok(())
    }

    /// Takes in what rows met, and sums where `summed`. Gives the ordinals of those that differ and whose values are to be read.
    fn take(&self, met_rows: &[PgRow], (rows, summed): (&[usize], bool), found: &mut Found) -> Result<Vec<i32>, Error> {
        let mut differing = Vec::new();
        for row in met_rows {
            if summed && let Some(slice) = row.try_get::<Option<i64>, _>("slice")? {
                *found.sums.entry(slice.cast_unsigned()).or_default() += row_sum(row)?;
                continue;
            }
            let (ordinal, met) = met(row)?;
            let Some(place) = place(rows, ordinal) else { continue };
            if !met.differs.is_empty() && differing.len() + found.values.len() < self.options.shown {
                differing.push(ordinal);
            }
            found.met.insert(place, met);
        }
        Ok(differing)
    }

    /// Learns of elements without a row whether the ledger has the lineage of one, or of another row of their key.
    async fn look_in_ledger(
        &self,
        connection: &mut PgConnection,
        (sql, rows): (&Statements, &[usize]),
        found: &mut Found,
    ) -> Result<(), Error> {
        let (mut ordinals, mut keys, mut digests) = (Vec::new(), Vec::new(), Vec::new());
        for (ordinal, place) in (0_i32..).zip(rows) {
            if let (Some(Met { there: false, .. }), Some(row)) = (found.met.get(place), self.rows.get(*place)) {
                ordinals.push(ordinal);
                keys.push(row.key.as_bytes());
                digests.push(row.digest.to_string());
            }
        }
        if ordinals.is_empty() {
            return Ok(());
        }
        let mut savepoint = connection.begin().await?;
        // The joins with the staging table have no index to go by, and pair by pair they cost rows times elements, which the planner takes
        // for little where it knows nothing of the ledger. What is fenced in is looked up by its index all the same.
        for set in ["enable_hashjoin = on", "enable_mergejoin = on", "enable_nestloop = off"] {
            query(format!("SET LOCAL {set}")).execute(&mut *savepoint).await?;
        }
        let statement = were_there((self.table, self.database, self.run), sql);
        let asked = query(statement).bind(self.table.name.to_string()).bind(ordinals).bind(keys).bind(digests);
        let asked = asked.fetch_all(&mut *savepoint).await;
        savepoint.rollback().await?;
        let asked = match asked {
            // Rows of a former table of this name, whose keys do not fit: nothing is known.
            Err(error) if refuses_value(&error) => return Ok(()),
            asked => asked?,
        };
        for row in asked {
            let place = place(rows, row.try_get("ord")?);
            if let Some(met) = place.and_then(|place| found.met.get_mut(&place)) {
                (met.was_there, met.key_was_there) = (row.try_get("was_there")?, row.try_get("key_was_there")?);
                met.was_of_value = row.try_get("of_value")?;
            }
        }
        Ok(())
    }

    /// Takes the rows with texts that their types refuse out of the staging table.
    async fn find_unreadable(
        &self,
        connection: &mut PgConnection,
        (sql, rows): (&Statements, &[usize]),
        found: &mut Found,
    ) -> Result<(), Error> {
        let mut out = BTreeSet::new();
        for (column, statement) in &sql.casts {
            for (ordinal, error) in refused_texts(connection, statement, rows.len()).await? {
                let Some(place) = place(rows, ordinal) else { continue };
                let reject = self.rows.get(place).map(|row| unread(row, (self.table, *column), &error));
                found.refused.extend(reject.map(|reject| (place, reject)));
                out.insert(ordinal);
            }
        }
        if !out.is_empty() {
            query(&sql.delete).bind(out.into_iter().collect::<Vec<_>>()).execute(connection).await?;
        }
        Ok(())
    }

    /// Reads the values of rows that differ, for people.
    async fn read_values(
        &self,
        connection: &mut PgConnection,
        (sql, rows): (&Statements, &[usize]),
        ordinals: Vec<i32>,
        found: &mut Found,
    ) -> Result<(), Error> {
        for row in query(values(self.table, sql)).bind(ordinals).fetch_all(connection).await? {
            let Some(place) = place(rows, row.try_get("ord")?) else { continue };
            let Some(met) = found.met.get(&place) else { continue };
            let (expected, is): (Vec<Option<String>>, Vec<Option<String>>) =
                (row.try_get("expected")?, row.try_get("found")?);
            let pairs = compared(self.table, sql.columns.all).zip(expected.into_iter().zip(is));
            let values = pairs
                .filter(|((index, _), _)| met.differs.contains(index))
                .map(|((_, column), (expected, found))| ColumnValues { column: column.name.clone(), expected, found });
            found.values.insert(place, values.collect());
        }
        Ok(())
    }
}

/// The place of an ordinal.
fn place(rows: &[usize], ordinal: i32) -> Option<usize> {
    rows.get(usize::try_from(ordinal).ok()?).copied()
}

/// Places as a shape.
fn shape(places: Option<Vec<i32>>) -> Shape {
    Shape(places.into_iter().flatten().fold(0, |all, place| all | 1 << place))
}

fn met(row: &PgRow) -> Result<(i32, Met), Error> {
    let there: bool = row.try_get("there")?;
    // Of a row that is not there every column is another.
    let differs: Vec<i32> = if there { row.try_get("differs")? } else { Vec::new() };
    let orphan: Option<i32> = row.try_get("orphan")?;
    let met = Met {
        there,
        differs: differs.into_iter().filter_map(|index| usize::try_from(index).ok()).collect(),
        orphan: orphan.and_then(|index| usize::try_from(index).ok()),
        redis_key: row.try_get("redis_key")?,
        redis_db: row.try_get("redis_db")?,
        owner: row.try_get("owner")?,
        counts: row.try_get::<Option<bool>, _>("counts")?.unwrap_or(false),
        of_source: row.try_get::<Option<bool>, _>("of_source")?.unwrap_or(false),
        digest: row.try_get("digest")?,
        was_there: false,
        key_was_there: false,
        was_of_value: false,
        expiry_moved: row.try_get::<Option<bool>, _>("expiry_moved")?.unwrap_or(true),
        respelled: shape(row.try_get("respelled")?),
    };
    Ok((row.try_get("ord")?, met))
}

/// Set for the transaction only. Joins go by index look-up, as in a load. Each statement sees the rows as they are when it begins,
/// whatever the role's default is: how old a comparison is counts from there.
pub(super) fn settings(options: &CompareOptions) -> String {
    format!(
        "{READ_COMMITTED}SET LOCAL work_mem = '64MB'; SET LOCAL jit = off; SET LOCAL enable_hashjoin = off; \
         SET LOCAL enable_mergejoin = off; SET LOCAL client_min_messages = error; {}",
        options.limits.statements(),
    )
}
