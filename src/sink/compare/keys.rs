//! Rows put together to their keys: a key that is several rows may come in several batches, and has one class.

use super::attempt::Found;
use super::met::{Judged, Met};
use super::proof::{Proof, Proven, Unproven};
use super::{Compared, Comparison, would_be_rejected};
use crate::model::{Class, ClassCounts, ColumnValues, Database, Group, RedisKey, Row};
use crate::postgres::{query, refuses_value};
use crate::sink::table::LoadTable;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Error, Row as _};
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// Readings of keys that are several rows, until their last row was compared.
#[derive(Debug, Default)]
pub(super) struct OpenKeys(HashMap<Uuid, Open>);

/// What is known of a reading.
#[derive(Debug, Default)]
struct Open {
    rows: ClassCounts,
    /// Of the worst row so far.
    worst: Option<Worst>,
    /// Rows that are there and of this key by the ledger.
    of_key: i64,
    /// Elements that would be rejected now.
    refused: i64,
    /// Rows whose lineage does not say that a run which counts made them of this key.
    unproven: i64,
}

/// What is told of a key: what its worst row is.
#[derive(Debug)]
struct Worst {
    judged: Judged,
    columns: Vec<String>,
    values: Vec<ColumnValues>,
}

impl OpenKeys {
    /// Books what the rows of one attempt met.
    pub(super) fn book(
        &mut self,
        (table, database): (&LoadTable, Database),
        proof: Option<&Proof>,
        (rows, mut found): (Vec<Row>, Found),
        comparison: &mut Comparison,
    ) {
        for (place, row) in rows.into_iter().enumerate() {
            let met = found.met.remove(&place);
            let refused = found.refused.remove(&place);
            let judged = match (&met, &refused) {
                (_, Some(reject)) => Judged::because(Class::Missing, would_be_rejected(reject)),
                (Some(met), None) => met.judge(table, &row, database),
                (None, None) => Judged::of(Class::Equal),
            };
            let names = |met: &Met| -> Vec<String> {
                let name = |index: &usize| table.columns.get(*index).map(|column| column.name.clone());
                met.differs.iter().filter_map(name).collect()
            };
            // Another key's row says nothing of this one's content.
            let is_other = met.as_ref().is_some_and(|met| met.other_key(&row, database).is_some());
            let told = met.as_ref().filter(|_| !is_other);
            let shown = found.values.remove(&place).filter(|_| !is_other);
            let is_proven = proof.is_some() && Met::proves(met.as_ref(), table, (&row, database));
            let worst =
                Worst { columns: told.map(names).unwrap_or_default(), values: shown.unwrap_or_default(), judged };
            match &row.group {
                Some(group) => {
                    let of_key = met.as_ref().is_some_and(|met| met.is_of_key(&row));
                    let open = self.0.entry(group.id).or_default();
                    open.add(worst, of_key, refused.is_some());
                    open.unproven += i64::from(!is_proven);
                }
                None if worst.judged.class == Class::Equal => {
                    comparison.equal = (comparison.equal.0 + 1, comparison.equal.1 + 1);
                    match is_proven {
                        _ if proof.is_none() => {}
                        true => comparison.proven.extend(row.into_record().map(Proven::Read)),
                        false => comparison.unproven.push((row.key, Unproven::NoLineage)),
                    }
                }
                None => comparison.others.push(worst.into_key(row.key, refused.is_some())),
            }
        }
    }

    /// Ends a reading.
    pub(super) fn end(&mut self, group: Arc<Group>) -> Ended {
        let mut open = self.0.remove(&group.id).unwrap_or_default();
        let reject = group.with(None).end().reject;
        if let Some((reject, _)) = &reject {
            open.refused += 1;
            open.rows.add(Class::Missing, 1);
            let detail = format!("an element of it {}", would_be_rejected(reject).trim_start_matches("its value "));
            open.tell(Worst::plain(Judged::because(Class::Missing, detail)));
        }
        Ended { key: group.key.clone(), open, whole: reject.is_none(), group }
    }
}

impl Met {
    /// Whether the row is there, and of this key of the run's source by the ledger's lineage, which tells of all rows.
    fn is_of_key(&self, row: &Row) -> bool {
        self.there && self.owner.is_some() && self.of_source && self.redis_key.as_deref() == Some(row.key.as_bytes())
    }
}

impl Worst {
    fn plain(judged: Judged) -> Self {
        Self { judged, columns: Vec::new(), values: Vec::new() }
    }

    /// A key that is this one row.
    fn into_key(self, key: RedisKey, refused: bool) -> Compared {
        let Judged { class, detail } = self.judged;
        let mut rows = ClassCounts::default();
        rows.add(class, 1);
        let refused = i64::from(refused);
        Compared { key, class, rows, detail, columns: self.columns, values: self.values, refused }
    }
}

impl Open {
    fn add(&mut self, worst: Worst, of_key: bool, refused: bool) {
        self.rows.add(worst.judged.class, 1);
        self.of_key += i64::from(of_key);
        self.refused += i64::from(refused);
        if worst.judged.class > Class::Equal {
            self.tell(worst);
        }
    }

    /// Remembers the first of the worst.
    fn tell(&mut self, worst: Worst) {
        if self.worst.as_ref().is_none_or(|known| known.judged.class < worst.judged.class) {
            self.worst = Some(worst);
        }
    }
}

/// A reading that came to its end.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) key: RedisKey,
    open: Open,
    /// Whether no element was rejected: else one may have a row of an earlier time.
    whole: bool,
    group: Arc<Group>,
}

impl Ended {
    /// How many rows of the key there are: those that it did not make again are of elements that are gone.
    pub(super) fn note_rows(&mut self, rows: i64) {
        let extra = rows - self.open.of_key;
        if extra > 0 && self.whole {
            self.open.rows.add(Class::Extra, extra);
            let detail = format!("{extra} of its rows are of elements that it does not have any more");
            self.open.tell(Worst::plain(Judged::because(Class::Extra, detail)));
        }
    }

    /// Books the key. `proves`: also whether it may go.
    pub(super) fn book(self, proves: bool, comparison: &mut Comparison) {
        let Self { key, open, group, .. } = self;
        let Some(worst) = open.worst else {
            let (keys, rows) = &mut comparison.equal;
            *keys += 1;
            *rows += open.rows.get(Class::Equal);
            if proves {
                match Proven::of_group(&group).ok_or(Unproven::NotRead) {
                    _ if open.rows.total() == 0 => comparison.unproven.push((key, Unproven::NoRow)),
                    _ if open.unproven > 0 => comparison.unproven.push((key, Unproven::NoLineage)),
                    Ok(proven) => comparison.proven.push(proven),
                    Err(why) => comparison.unproven.push((key, why)),
                }
            }
            return;
        };
        let compared = Compared { rows: open.rows, refused: open.refused, ..worst.into_key(key, false) };
        comparison.others.push(compared);
    }
}

/// How many rows there are of each key, by its place. Nothing is known where the ledger has rows of a former table of this name,
/// whose keys do not fit this one.
pub(super) async fn rows_of(
    connection: &mut PgConnection,
    (settings, sql): (&str, &str),
    table: &str,
    keys: &[Vec<u8>],
) -> Result<HashMap<usize, i64>, Error> {
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(AssertSqlSafe(settings.to_owned())).execute(&mut *transaction).await?;
    let rows = query(sql).bind(table).bind(keys).fetch_all(&mut *transaction).await;
    transaction.rollback().await?;
    let rows = match rows {
        Err(error) if refuses_value(&error) => {
            tracing::warn!(
                "rows of {table} whose elements are gone are not looked for: redis2pg.loaded has keys that do not fit ({error})"
            );
            return Ok(HashMap::new());
        }
        rows => rows?,
    };
    let read = |row: &sqlx::postgres::PgRow| {
        Ok((usize::try_from(row.try_get::<i64, _>("place")?).unwrap_or(usize::MAX), row.try_get("rows")?))
    };
    rows.iter().map(read).collect()
}
