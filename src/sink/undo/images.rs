//! The before-images of a run, page by page: whether the rows that are there now may give way to them.

use super::{Group, Undo};
use crate::ledger::LineagePlace;
use crate::model::KeptReason;
use crate::postgres::{ident, literal, query};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Error, Row};

/// Images that are looked at at once.
const PAGE: i64 = 500;

/// A before-image, judged.
#[derive(Clone, Debug)]
pub struct JudgedImage {
    /// The row's key.
    pub row_key: String,
    /// The Redis key that the row was made from, and its database, where that is told.
    pub redis_key: Option<(Vec<u8>, Option<String>)>,
    /// Whom the row goes back to, and how.
    pub group: Group,
    /// Why it is kept as it is now.
    pub why: Option<(KeptReason, String)>,
    /// The lower half of the id of the transaction that wrote the row that is there last.
    pub writer: Option<i64>,
}

/// Which images are looked at.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// The page behind this key, or the first one.
    After(Option<&'a str>),
    /// Those of these keys.
    Keys(&'a [String]),
}

impl Undo<'_> {
    /// A page of images, or those of some keys, in the order of their keys; empty behind the last one.
    ///
    /// # Errors
    /// The server's.
    pub async fn judge_images(
        &self,
        connection: &mut PgConnection,
        which: Which<'_>,
    ) -> Result<Vec<JudgedImage>, Error> {
        let table = self.table;
        let (wanted, limit) = match which {
            Which::After(_) => ("($3::text IS NULL OR i.row_key > $3::text::jsonb)", format!(" LIMIT {PAGE}")),
            Which::Keys(_) => ("i.row_key = ANY ($3::text[]::jsonb[])", String::new()),
        };
        let (key, database, join) = table.redis_key();
        let (image_key, image_database) = self.key_of_image();
        let columns: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
        let rows = query(format!(
            "SELECT i.row_key::text AS row_key, coalesce(i.deleted, false) AS deleted, i.deleted IS NULL AS is_old, \
             ARRAY(SELECT c FROM pg_catalog.unnest($4::text[]) c WHERE NOT i.image ? c) AS missing, \
             ARRAY(SELECT k FROM pg_catalog.jsonb_object_keys(i.image) k WHERE k <> ALL ($4::text[]) ORDER BY k) AS lost, \
             (SELECT pg_catalog.jsonb_build_array(b.run_id, b.mapping, b.fingerprint)::text FROM redis2pg.batches b \
              WHERE (b.xid & 4294967295) = i.row_xmin AND b.xmin::text::bigint = i.row_xmin AND b.table_name = i.table_name ORDER BY b.xid DESC LIMIT 1) AS former, \
             o.owner IS NOT NULL AS there, o.owner AS owner, o.writer AS writer, coalesce(o.rows, 0) > 1 AS is_twice, \
             EXISTS (SELECT FROM redis2pg.runs w WHERE w.id = nullif(o.owner, '')::uuid AND w.id <> i.run_id \
              AND w.rolled_back_at IS NULL) AS is_others, \
             coalesce({image_key}, o.redis_key) AS redis_key, coalesce({image_database}, o.redis_db) AS redis_db \
             FROM redis2pg.before_images i CROSS JOIN LATERAL {} \
             LEFT JOIN LATERAL (SELECT coalesce({}, '') AS owner, t.xmin::text::bigint AS writer, {key} AS redis_key, \
             {database} AS redis_db, pg_catalog.count(*) OVER () AS rows \
             FROM {} t{join} WHERE {} OFFSET 0) o ON true \
             WHERE i.run_id = $1::text::uuid AND i.table_name = $2 AND {wanted} \
             AND i.row_key ?& $5::text[] AND i.row_key - $5::text[] = '{{}}' ORDER BY i.row_key{limit}",
            table.key_record("i.row_key"),
            table.owner(),
            table.only(),
            table.key_join(),
        ))
        .bind(self.run.to_string())
        .bind(table.name());
        let rows = match which {
            Which::After(after) => rows.bind(after),
            Which::Keys(keys) => rows.bind(keys),
        };
        let rows = rows.bind(columns).bind(&table.run.key_columns).fetch_all(connection).await?;
        let mut page: Vec<JudgedImage> = rows.iter().map(|row| self.judged(row)).collect::<Result<_, Error>>()?;
        page.dedup_by(|later, earlier| later.row_key == earlier.row_key);
        Ok(page)
    }

    /// Runs that are not rolled back, and that wrote rows again which this run had deleted, by the images behind `after` up to `last`:
    /// each with when it began, in microseconds, and how many.
    ///
    /// # Errors
    /// The server's.
    pub async fn written_again(
        &self,
        connection: &mut PgConnection,
        (after, last): (Option<&str>, Option<&str>),
    ) -> Result<Vec<(String, i64, i64)>, Error> {
        let table = self.table;
        let rows = query(format!(
            "SELECT o.owner, (extract(epoch FROM r.started_at) * 1000000)::bigint, pg_catalog.count(*) \
             FROM redis2pg.before_images i CROSS JOIN LATERAL {} \
             CROSS JOIN LATERAL (SELECT {} AS owner FROM {} t WHERE {} OFFSET 0) o \
             JOIN redis2pg.runs r ON r.id::text = o.owner AND r.id <> i.run_id AND r.rolled_back_at IS NULL \
             WHERE i.run_id = $1::text::uuid AND i.table_name = $2 AND coalesce(i.deleted, true) \
             AND ($3::text IS NULL OR i.row_key > $3::text::jsonb) AND ($4::text IS NULL OR i.row_key <= $4::text::jsonb) \
             GROUP BY o.owner, r.started_at",
            table.key_record("i.row_key"),
            table.owner(),
            table.only(),
            table.key_join(),
        ))
        .bind(self.run.to_string())
        .bind(table.name())
        .bind(after)
        .bind(last)
        .fetch_all(connection)
        .await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).collect()
    }

    fn judged(&self, row: &PgRow) -> Result<JudgedImage, Error> {
        let (there, deleted): (bool, bool) = (row.try_get("there")?, row.try_get("deleted")?);
        let owner: Option<String> = row.try_get("owner")?;
        let ours = owner.as_deref() == Some(&self.run.to_string());
        let lost: Vec<String> = row.try_get("lost")?;
        let why = match (there, ours) {
            _ if row.try_get("is_twice")? => Some((KeptReason::Ambiguous, super::delete::TWICE.to_owned())),
            // It goes first, and has an image of what it found.
            (true, false) if row.try_get("is_others")? => Some((KeptReason::OtherRun, owner.unwrap_or_default())),
            _ if self.force => None,
            (true, false) => Some((KeptReason::Changed, String::new())),
            (false, _) if !deleted => {
                let old: bool = row.try_get("is_old")?;
                let detail = if old { "since the run, or by it: an earlier version did not note which" } else { "" };
                Some((KeptReason::Deleted, detail.to_owned()))
            }
            _ if !lost.is_empty() => Some((KeptReason::Refused, super::writable::lost(&lost))),
            _ => None,
        };
        let redis_key: Option<Vec<u8>> = row.try_get("redis_key")?;
        let database: Option<String> = row.try_get("redis_db")?;
        Ok(JudgedImage {
            row_key: row.try_get("row_key")?,
            redis_key: redis_key.map(|key| (key, database)),
            group: Group { former: row.try_get("former")?, missing: row.try_get("missing")?, lost, there },
            why,
            writer: row.try_get("writer")?,
        })
    }

    /// The Redis key and database of the image `i`, as expressions.
    fn key_of_image(&self) -> (String, String) {
        let text = |of: String| format!("pg_catalog.convert_to({of}, 'UTF8')");
        let column = |name: &str| format!("i.image ->> {}", literal(name));
        match &self.table.run.lineage {
            LineagePlace::Object { column } => {
                let object = format!("i.image -> {}", literal(column));
                (text(format!("{object} ->> 'redis_key'")), format!("{object} -> 'redis2pg' ->> 'database'"))
            }
            LineagePlace::Columns { key, database, .. } => {
                let database = database.as_ref().map_or_else(|| "NULL::text".to_owned(), |name| column(name));
                (text(column(key)), database)
            }
            LineagePlace::Ledger => {
                ("pg_catalog.decode(i.lineage ->> 'key', 'hex')".into(), "i.lineage ->> 'database'".into())
            }
            LineagePlace::Nowhere => ("NULL::bytea".into(), "NULL::text".into()),
        }
    }

    /// For each column that the image `i` has and `take` wants: its name, and its value as its type, or as that which its domain stands on. They
    /// stand on [`Self::record`].
    pub(super) fn values(&self, but: &[String], take: impl Fn(&super::UndoColumn) -> bool) -> Vec<(String, String)> {
        let wanted = self.table.columns.iter().filter(|column| take(column) && !but.contains(&column.name));
        wanted
            .map(|column| {
                let (name, key) = (ident(&column.name), literal(&column.name));
                let value = format!(
                    "CASE WHEN i.exact ? {key} THEN (i.exact ->> {key})::{} ELSE p.{name} END",
                    column.base_type
                );
                (name, value)
            })
            .collect()
    }

    /// The image `i` as a row `p` of the table's types, but for what is kept as text. Not of its domains: that text is missing here, which is
    /// nothing for a domain to judge.
    pub(super) fn record(&self, but: &[String]) -> String {
        self.record_of(|column| column.insertable && !but.contains(&column.name))
    }

    /// The same with the columns that `take` wants.
    pub(super) fn record_of(&self, take: impl Fn(&super::UndoColumn) -> bool) -> String {
        let columns = self.table.columns.iter().filter(|column| take(column));
        let list: Vec<String> = columns.map(|column| format!("{} {}", ident(&column.name), column.base_type)).collect();
        format!(
            "pg_catalog.jsonb_to_record(i.image - ARRAY(SELECT pg_catalog.jsonb_object_keys(coalesce(i.exact, '{{}}')))) AS p({})",
            list.join(", ")
        )
    }
}
