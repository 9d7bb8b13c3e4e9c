//! The SQL of a merge, for one staging table.

use super::columns::{Columns, HAS};
use super::difference::difference;
use super::kept::is_no_later;
use super::origin::of_row;
use super::staging::StagingTables;
use crate::model::{Database, Shape};
use crate::postgres::{ident, literal};
use crate::sink::ownership::{named_run, owner};
use crate::sink::table::{Compare, Conflict, Exact, Exactly, LoadColumn, LoadTable, Provenance, SelfReference};
use uuid::Uuid;

/// The row's place in the batch.
pub(in crate::sink) const ORDINAL: &str = "redis2pg_ord";

/// Statements that share one staging table.
#[derive(Debug)]
pub(in crate::sink) struct Statements {
    /// The columns of its rows.
    pub(in crate::sink) columns: Columns,
    /// The staging table's name.
    pub(in crate::sink) stage: String,
    /// Makes the staging table: the target's types without its constraints, and text where the server casts.
    pub(in crate::sink) create: String,
    /// COPY into it.
    pub(in crate::sink) copy: String,
    /// Reads the staged texts of each column that is cast: `(column index, statement)`. `$1`, `$2`: the first ordinal and
    /// the one after the last. A text that its type does not take fails here, where nothing else can.
    pub(in crate::sink) casts: Vec<(usize, String)>,
    /// Staged rows that are the same row as one before them, though their keys differ in bytes: the ordinals of both.
    pub(in crate::sink) alike: String,
    /// Takes the ordinals `$1` out of the staging table.
    pub(in crate::sink) delete: String,
    /// For each staged row that is in the target: ordinal, whether it differs, the run that wrote it, its Redis key and
    /// database, and whether that run is no later than the retried one `$3`, which is NULL where none is.
    /// `$1`: the table's name in the ledger; `$2`: ordinals to look at, or NULL for all.
    pub(in crate::sink) judge: String,
    /// Ordinals of rows with a parent missing, one statement for each parent check: `(parent index, statement)`.
    pub(in crate::sink) orphans: Vec<(usize, String)>,
    /// For each reference to the table itself: the staged rows whose parent is not in the table, each with a staged row that
    /// is its parent, if there is one.
    pub(in crate::sink) own_orphans: Vec<(usize, String)>,
    /// Locks the target rows of the ordinals `$1`.
    pub(in crate::sink) lock: String,
    /// Before-images of the ordinals `$1`; `$2`: run; `$3`: the table's name in the ledger.
    pub(in crate::sink) images: String,
    /// How many of the ordinals `$1` are in the target by their keys.
    pub(in crate::sink) there: String,
    /// Updates the ordinals `$1`; `None` where the mapping has nothing but key columns.
    pub(in crate::sink) update: Option<String>,
    /// Drops the staging table, where it would outlive the transaction.
    pub(in crate::sink) drop: Option<String>,
}

impl Statements {
    /// Builds them. `token`: sets this staging table apart from those of others. `database`: the one of the rows' keys.
    pub(in crate::sink) fn build(
        table: &LoadTable,
        database: Database,
        (columns, number): (impl Into<Columns>, usize),
        (staging, token): (StagingTables, Uuid),
    ) -> Self {
        let (stage, create) = staging.table(&format!("stage_{number}"), token);
        let (target, found, columns) = (table.ident(), table.rows(), columns.into());
        let shape = columns.all;
        let join = key_join(table);
        let (has, made) =
            if columns.differ() { (format!("{HAS}, "), format!("0::int8 AS {HAS}, ")) } else { Default::default() };
        Self {
            columns,
            create: format!(
                "{create} AS SELECT 0::int4 AS {ORDINAL}, {made}{} FROM {target} WITH NO DATA",
                table.list(shape, stage_column)
            ),
            copy: format!("COPY {stage} ({ORDINAL}, {has}{}) FROM STDIN (FORMAT binary)", table.column_list(shape)),
            casts: casts(table, shape, &stage),
            alike: format!(
                "SELECT a.ord, a.first FROM (SELECT s.{ORDINAL} AS ord, pg_catalog.min(s.{ORDINAL}) OVER (PARTITION BY {}) AS first \
                 FROM {stage} s) a WHERE a.ord <> a.first",
                table.columns.iter().take(table.key_columns).map(LoadColumn::staged).collect::<Vec<_>>().join(", ")
            ),
            delete: format!("DELETE FROM {stage} WHERE {ORDINAL} = ANY ($1)"),
            judge: judge((table, database), columns, &stage, &join),
            orphans: orphans(table, shape, &stage),
            own_orphans: own_orphans(table, shape, &stage),
            lock: format!(
                "SELECT 1 FROM {stage} s JOIN {found} t ON {join} WHERE s.{ORDINAL} = ANY ($1) FOR UPDATE OF t"
            ),
            images: format!(
                "INSERT INTO redis2pg.before_images ({IMAGE_COLUMNS}) SELECT $2::text::uuid, $3, {}, false \
                 FROM {stage} s JOIN {found} t ON {join} WHERE s.{ORDINAL} = ANY ($1) ON CONFLICT DO NOTHING",
                image(table)
            ),
            there: format!(
                "SELECT pg_catalog.count(*) FROM {stage} s JOIN {found} t ON {join} WHERE s.{ORDINAL} = ANY ($1)"
            ),
            update: update(table, columns, &stage, &join),
            stage: stage.clone(),
            drop: staging.outlives().then(|| format!("DROP TABLE {stage}")),
        }
    }
}

/// A column of the staging table, made from the target.
pub(in crate::sink) fn stage_column(column: &LoadColumn) -> String {
    let name = ident(&column.name);
    match (&column.cast, column.staged_type) {
        (Some(_), _) => format!("''::text AS {name}"),
        (None, Some(own)) => format!("NULL::{own} AS {name}"),
        (None, None) => name,
    }
}

/// Which of two rows that are the same row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::sink) enum Side {
    /// The staged row `s`.
    Staged,
    /// The target's row `t`.
    Target,
}

/// The row's key as the ledger writes it: a jsonb object of the key columns.
pub(in crate::sink) fn row_key(table: &LoadTable, side: Side) -> String {
    let value = |column: &LoadColumn| match side {
        Side::Staged => column.staged(),
        Side::Target => format!("t.{}", ident(&column.name)),
    };
    let keys = table.columns.iter().take(table.key_columns);
    let parts: Vec<String> = keys.map(|column| format!("{}, {}", literal(&column.name), value(column))).collect();
    format!("pg_catalog.jsonb_build_object({})", parts.join(", "))
}

/// The staged row `s` and the target's row `t` are the same row.
pub(in crate::sink) fn key_join(table: &LoadTable) -> String {
    let keys = table.columns.iter().take(table.key_columns);
    let pairs: Vec<String> =
        keys.map(|key| format!("t.{} {} {}", ident(&key.name), key.equality, key.staged())).collect();
    pairs.join(" AND ")
}

fn casts(table: &LoadTable, shape: Shape, stage: &str) -> Vec<(usize, String)> {
    let range = format!("s.{ORDINAL} >= $1 AND s.{ORDINAL} < $2");
    let read =
        |column: &LoadColumn| format!("SELECT pg_catalog.count({}) FROM {stage} s WHERE {range}", column.staged());
    let cast = table.present(shape).filter(|(_, column)| column.cast.is_some());
    cast.map(|(index, column)| (index, read(column))).collect()
}

/// The Redis key, as bytes, that the target's row `t` was made from; NULL where that is not known. `l`: its lineage, where
/// the ledger has it.
pub(in crate::sink) fn redis_key(table: &LoadTable) -> String {
    let nowhere = || "NULL::bytea".to_owned();
    let bytes = |text: String| format!("pg_catalog.convert_to({text}, 'UTF8')");
    match table.provenance {
        Provenance::Object(object) => {
            table.of_target(object).map_or_else(nowhere, |t| bytes(format!("{t} ->> 'redis_key'")))
        }
        Provenance::Columns { key, .. } => table.of_target(key).map_or_else(nowhere, bytes),
        Provenance::Ledger => "l.redis_key".to_owned(),
        Provenance::Nowhere => nowhere(),
    }
}

fn judge((table, database): (&LoadTable, Database), columns: Columns, stage: &str, join: &str) -> String {
    let differs = |(index, column)| {
        let differs = difference(column)?;
        // What a row lacks is left as it is.
        Some(columns.condition(index).map_or(differs.clone(), |has| format!("({has} AND ({differs}))")))
    };
    let differs: Vec<String> = table.present(columns.all).skip(table.key_columns).filter_map(differs).collect();
    let mut differs = if differs.is_empty() { "false".to_owned() } else { differs.join(" OR ") };
    if let Some(unrecorded) = expiry_unrecorded(table) {
        differs.push_str(&format!(" OR o.run IS NOT NULL AND {unrecorded}"));
    }
    // Fenced, so that each look-up is made once for a row, and by its index.
    let lineage = match table.provenance {
        Provenance::Ledger => format!(
            "LEFT JOIN LATERAL (SELECT l.redis_key, l.redis_db, l.run_id FROM redis2pg.loaded l \
             WHERE l.table_name = $1 AND l.row_key = {} OFFSET 0) l ON true ",
            row_key(table, Side::Target)
        ),
        _ => String::new(),
    };
    format!(
        "SELECT s.{ORDINAL} AS ord, ({differs}) AS differs, {} AS redis_key, o.run AS owner, {} AS redis_db, \
         $3::text IS NULL OR {} AS is_no_later \
         FROM {stage} s JOIN {} t ON {join} {lineage}CROSS JOIN LATERAL (SELECT {} AS run OFFSET 0) o \
         WHERE $2::int4[] IS NULL OR s.{ORDINAL} = ANY ($2)",
        redis_key(table),
        of_row(table, database, "o.run"),
        is_no_later("o.run", "$3"),
        table.rows(),
        owner("t.xmin", "$1", named_run(table, "$1", Some("l.run_id::text")).as_deref()),
    )
}

/// The columns of a before-image, in the order of [`image`] behind the run and the table.
pub(super) const IMAGE_COLUMNS: &str = "run_id, table_name, row_key, image, exact, row_xmin, lineage, deleted";

/// What is kept of the target's row `t` before it is changed: its key, the row as jsonb and as text where that loses
/// something, who wrote it, and what the ledger says of it. `$3`: the table's name in the ledger.
pub(super) fn image(table: &LoadTable) -> String {
    let key = row_key(table, Side::Target);
    let lineage = match table.provenance {
        Provenance::Ledger => format!(
            "(SELECT pg_catalog.jsonb_build_object('run', l.run_id, 'key', pg_catalog.encode(l.redis_key, 'hex'), 'database', l.redis_db, \
             'digest', l.digest, 'loaded_at', l.loaded_at) FROM redis2pg.loaded l \
             WHERE l.table_name = $3 AND l.row_key = {key})"
        ),
        _ => "NULL::jsonb".to_owned(),
    };
    format!("{key}, pg_catalog.to_jsonb(t.*), {}, t.xmin::text::bigint, {lineage}", exact(&table.exact))
}

/// So many pairs go into one call: the server's functions take a hundred arguments.
const PAIRS: usize = 40;

/// The columns of the target's row `t` that jsonb does not hold as they are, as an object of texts.
fn exact(columns: &[Exact]) -> String {
    let pair = |column: &Exact| {
        let (name, value) = (literal(&column.name), format!("t.{}", ident(&column.name)));
        match column.how {
            // Only a null of JSON's own, which looks like none at all in the row's object.
            Exactly::JsonNull => format!("{name}, CASE WHEN pg_catalog.jsonb_typeof({value}) = 'null' THEN 'null' END"),
            // Only that, so that the image of no other row has more in it. Its text is asked for where it may be one.
            Exactly::NegativeZero => {
                format!("{name}, CASE WHEN {value} OPERATOR(pg_catalog.=) '0' AND {value}::text = '-0' THEN '-0' END")
            }
            Exactly::Text => format!("{name}, {value}::text"),
        }
    };
    let parts: Vec<String> = columns
        .chunks(PAIRS)
        .map(|part| format!("pg_catalog.jsonb_build_object({})", part.iter().map(pair).collect::<Vec<_>>().join(", ")))
        .collect();
    if parts.is_empty() {
        return "NULL::jsonb".to_owned();
    }
    format!("nullif(pg_catalog.jsonb_strip_nulls({}), '{{}}')", parts.join(" || "))
}

/// Whether rows are written for the sake of the time of expiry in their lineage: no column of the mapping tells it, and rows are
/// updated at all.
pub(in crate::sink) fn records_expiry(table: &LoadTable) -> bool {
    matches!(table.provenance, Provenance::Object(_))
        && matches!(table.conflict, Conflict::Update | Conflict::UpdateOwn)
        && !table.columns.iter().any(|column| column.compare == Compare::Expiry)
}

/// Whether the lineage of the target's row `t` has no time of expiry while that of the staged row `s` has one: the key was given a
/// life since, and once it has expired it must not look deleted.
fn expiry_unrecorded(table: &LoadTable) -> Option<String> {
    let Provenance::Object(object) = table.provenance else { return None };
    let column = table.columns.get(object).filter(|_| records_expiry(table))?;
    let expiry = |row: String| format!("{row} -> 'redis2pg' ->> 'expires_at'");
    let (target, staged) = (expiry(format!("t.{}", ident(&column.name))), expiry(column.staged()));
    Some(format!("{target} IS NULL AND {staged} IS NOT NULL"))
}

fn orphans(table: &LoadTable, shape: Shape, stage: &str) -> Vec<(usize, String)> {
    table
        .parents
        .iter()
        .enumerate()
        .filter(|(_, parent)| shape.has(parent.column))
        .filter_map(|(index, parent)| {
            let column = table.columns.get(parent.column)?;
            let reference = column.staged();
            let statement = format!(
                "SELECT s.{ORDINAL} AS ord FROM {stage} s WHERE {reference} IS NOT NULL AND NOT EXISTS \
                 (SELECT 1 FROM {} p WHERE p.{} {} {reference} OFFSET 0)",
                crate::postgres::table_ident(&parent.table),
                ident(&parent.key),
                parent.equality
            );
            Some((index, statement))
        })
        .collect()
}

fn own_orphans(table: &LoadTable, shape: Shape, stage: &str) -> Vec<(usize, String)> {
    let references = table.own_references.iter().enumerate();
    let whole = references.filter(|(_, reference)| reference.columns.iter().all(|column| shape.has(column.from)));
    whole.filter_map(|(index, reference)| Some((index, own_orphan(table, shape, stage, reference)?))).collect()
}

fn own_orphan(table: &LoadTable, shape: Shape, stage: &str, reference: &SelfReference) -> Option<String> {
    let (mut given, mut there, mut staged) = (Vec::new(), Vec::new(), Vec::new());
    for column in &reference.columns {
        let own = table.columns.get(column.from)?;
        let value = own.staged();
        given.push(format!("{value} IS NOT NULL"));
        there.push(format!("t.{} {} {value}", ident(&column.to), column.equality));
        // A column that the rows leave to its default is not to be known here.
        let to = column.to_index.filter(|index| shape.has(*index)).and_then(|index| table.columns.get(index));
        staged.push(to.map_or("false".to_owned(), |to| format!("{} {} {value}", to.staged_as("p"), column.equality)));
    }
    Some(format!(
        "SELECT s.{ORDINAL} AS ord, p.{ORDINAL} AS parent FROM {stage} s LEFT JOIN {stage} p ON {} WHERE {} \
         AND NOT EXISTS (SELECT 1 FROM {} t WHERE {} OFFSET 0)",
        staged.join(" AND "),
        given.join(" AND "),
        table.rows(),
        there.join(" AND ")
    ))
}

fn update(table: &LoadTable, columns: Columns, stage: &str, join: &str) -> Option<String> {
    let set = |(index, column): (usize, &LoadColumn)| {
        let (name, value) = (ident(&column.name), column.staged());
        match columns.condition(index) {
            Some(has) => format!("{name} = CASE WHEN {has} THEN {value} ELSE t.{name} END"),
            None => format!("{name} = {value}"),
        }
    };
    let set: Vec<String> = table.present(columns.all).skip(table.key_columns).map(set).collect();
    (!set.is_empty()).then(|| {
        format!(
            "UPDATE {} t SET {} FROM {stage} s WHERE {join} AND s.{ORDINAL} = ANY ($1)",
            table.rows(),
            set.join(", ")
        )
    })
}
