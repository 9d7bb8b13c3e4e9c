//! PostgreSQL's own reader of text as the judge of texts that are nearly what a type takes: whatever the encoder accepts
//! must be what PostgreSQL makes of the same text. What the encoder refuses is a reject, for a reason that is documented.

use crate::round_trip::{column, row};
use crate::support;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use redis2pg::encode::{EncodeError, Encoder, Policy, Value};
use redis2pg::model::{ColumnType, Row};
use redis2pg::postgres::{CopyBuffer, copy_rows};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row as _};

/// Texts for each type, and how many of them one COPY takes.
const TEXTS: usize = 2_000;
const BATCH: usize = 500;

/// A text near one of the seeds: two of them spliced now and then, and a few of its characters changed.
pub(crate) fn near(seeds: &'static [&'static str], alphabet: &str) -> impl Strategy<Value = String> + use<> {
    let alphabet: Vec<char> = alphabet.chars().collect();
    let edits = prop::collection::vec((any::<Index>(), 0..5_u8, prop::sample::select(alphabet)), 0..4);
    let seed = || prop::sample::select(seeds);
    let splice = prop::option::weighted(0.25, (seed(), any::<Index>()));
    (seed(), splice, edits).prop_map(|(seed, splice, edits)| {
        let mut text: Vec<char> = seed.chars().collect();
        if let Some((other, cut)) = splice {
            let at = cut.index(text.len() + 1);
            text.truncate(at);
            text.extend(other.chars().skip(at));
        }
        for (at, edit, c) in edits {
            let at = at.index(text.len().max(1));
            match (edit, text.get(at).copied()) {
                (0, Some(_)) => drop(text.remove(at)),
                (1, Some(_)) => text[at] = c,
                (2, Some(twice)) => text.insert(at, twice),
                (3, _) => text.insert(at, c),
                _ => text.push(c),
            }
        }
        text.into_iter().collect()
    })
}

/// Texts as a strategy gives them.
pub(crate) fn texts(strategy: &impl Strategy<Value = String>, count: usize) -> Vec<String> {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

/// Whether docs/rejects.md has the reason, in a row that stands for more than the code alone.
fn is_documented(error: &EncodeError) -> bool {
    const REJECTS: &str = include_str!("../../docs/rejects.md");
    let code = format!("`{}`", error.reason);
    !error.detail.is_empty() && REJECTS.lines().any(|line| line.starts_with("| `") && line.contains(&code))
}

/// How a text is given to an encoder.
type Encode = dyn Fn(&Encoder, &str, &mut Vec<u8>) -> Result<Option<&'static str>, EncodeError>;

/// A type, and what PostgreSQL makes of a text `x`, as an expression that may fail.
pub(crate) struct Judged<'a> {
    column_type: ColumnType,
    sql_type: &'a str,
    verdict: String,
    policy: Policy,
}

impl<'a> Judged<'a> {
    /// With `x::sql_type` as the verdict.
    pub(crate) fn new(column_type: ColumnType, sql_type: &'a str) -> Self {
        Self { column_type, sql_type, verdict: format!("x::{sql_type}"), policy: Policy::default() }
    }

    /// With another verdict, where the rules of the column are meant to be others than PostgreSQL's.
    pub(crate) fn by(self, verdict: impl Into<String>) -> Self {
        Self { verdict: verdict.into(), ..self }
    }

    pub(crate) fn rounding(self) -> Self {
        self.with(Policy { round: true, ..Policy::default() })
    }

    /// With policies of the column.
    pub(crate) fn with(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// Fails where an accepted text is stored as something else than PostgreSQL reads in it.
    #[track_caller]
    pub(crate) fn agrees(&self, strategy: impl Strategy<Value = String>) {
        self.agrees_by(strategy, &|encoder, text, out| encoder.encode(Value::Text(text), out));
    }

    #[track_caller]
    pub(crate) fn agrees_by(&self, strategy: impl Strategy<Value = String>, encode: &Encode) {
        let (_, url) = support::database();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut connection = runtime.block_on(PgConnection::connect(&url)).unwrap();
        let Self { sql_type, verdict, .. } = self;
        let setup = format!(
            "SET timezone = 'America/New_York'; CREATE TABLE t (n int4, c {sql_type}); \
             CREATE FUNCTION judge(x text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE found {sql_type}; \
             BEGIN found := {verdict}; RETURN coalesce(found::text, 'NULL'); \
             EXCEPTION WHEN others THEN RETURN SQLERRM; END $$"
        );
        runtime.block_on(sqlx::raw_sql(AssertSqlSafe(setup)).execute(&mut connection)).unwrap();
        let (mut accepted, mut wrong) = (0, Vec::new());
        for batch in texts(&strategy, TEXTS).chunks(BATCH) {
            let (some, found) = runtime.block_on(self.disagreements(&mut connection, batch, encode)).unwrap();
            accepted += some;
            wrong.extend(found);
        }
        assert!(wrong.is_empty(), "{sql_type}: {wrong:#?}");
        // Else the seeds or the letters are of no use.
        assert!(accepted > TEXTS / 100, "{sql_type}: only {accepted} texts were accepted");
    }

    /// Stores the texts that the encoder accepts; gives their number, and those that PostgreSQL reads otherwise.
    async fn disagreements(
        &self,
        connection: &mut PgConnection,
        texts: &[String],
        encode: &Encode,
    ) -> Result<(usize, Vec<String>), sqlx::Error> {
        let number = Encoder::new(&column("n", ColumnType::Int4), Policy::default()).unwrap();
        let encoder = Encoder::new(&column("c", self.column_type.clone()), self.policy.clone()).unwrap();
        let mut rows = Vec::new();
        for (place, text) in texts.iter().enumerate() {
            let mut fields = Vec::new();
            number.encode(Value::Number(&place.to_string()), &mut fields).unwrap();
            match encode(&encoder, text, &mut fields) {
                Ok(_) => rows.push(row(fields)),
                Err(error) => assert!(is_documented(&error), "{text:?}: {error}"),
            }
        }
        let rows: Vec<&Row> = rows.iter().collect();
        sqlx::raw_sql("TRUNCATE t").execute(&mut *connection).await?;
        let copy = "COPY t FROM STDIN (FORMAT binary)";
        copy_rows(connection, &mut CopyBuffer::default(), copy, &rows, false).await?;
        let sql = "SELECT x, coalesce(c::text, 'NULL'), judge(x) FROM t JOIN unnest($1::text[]) WITH ORDINALITY u (x, ord) \
                   ON n = ord - 1 WHERE coalesce(c::text, 'NULL') <> judge(x)";
        let found = sqlx::query(sql).bind(texts).fetch_all(&mut *connection).await?;
        let wrong = found.iter().map(|row| {
            let [text, stored, verdict] = [0, 1, 2].map(|column| row.get::<String, _>(column));
            format!("{text:?} became {stored} and is {verdict}")
        });
        Ok((rows.len(), wrong.collect()))
    }
}
