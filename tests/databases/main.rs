//! Several logical databases of one Redis in one run.

#![expect(clippy::expect_used, reason = "a test without its server has failed")]

mod identity;
mod parents;
mod reading;
mod refused;
mod servers;
#[path = "../support/mod.rs"]
mod support;

use redis2pg::sandbox::{RedisOptions, RedisServer};
use support::{Case, Client, Outcome};

/// A Redis of the test's own, since `all` is all that it has, and an empty PostgreSQL database.
struct Several {
    redis: RedisServer,
    case: Case,
}

impl Several {
    fn new(tables: &str) -> Self {
        Self::with(RedisOptions::default(), tables)
    }

    fn with(options: RedisOptions, tables: &str) -> Self {
        let redis = RedisServer::start(options).expect("start redis-server");
        let case = Case::from_source(&format!("{}/0", redis.url()));
        case.sql(&format!("SET ROLE redis2pg; {tables}"));
        Self { redis, case }
    }

    /// A connection to one of its databases.
    fn database(&self, number: u8) -> Client {
        Client::open(&format!("{}/{number}", self.redis.url()))
    }

    /// Runs twice: first dry, which must say what the run itself then does.
    fn run(&self, config: &str, code: i32) -> Outcome {
        let before = self.case.fingerprint();
        let dry = self.case.run_config(config, &["--dry-run"]).exits(code);
        assert_eq!(self.case.fingerprint(), before, "a dry run writes nothing");
        let run = self.case.run_config(config, &[]).exits(code);
        for field in ["scanned", "matched", "unmatched"] {
            assert_eq!(dry.total(field), run.total(field), "{field}: {dry}\n{run}");
        }
        assert_eq!(dry.report["tally"]["rejected"], run.report["tally"]["rejected"], "{dry}\n{run}");
        assert_eq!(dry.report["source_databases"], run.report["source_databases"]);
        run
    }
}

fn item(n: i64) -> String {
    format!(r#"{{"n":{n}}}"#)
}

/// Inserted, updated, unchanged.
fn loaded(run: &Outcome) -> [i64; 3] {
    ["inserted", "updated", "unchanged"].map(|outcome| run.total(outcome))
}

const BY_DATABASE: &str = r#"
[[mapping]]
name = "items"
match = "item:{id}"
databases = [0, 2]
into = "public.items"
key = ["db", "id"]
column = [
  { name = "db", from = ["redis.db"] },
  { name = "id", from = ["{id}"] },
  { name = "n", from = ["$.n"] },
]
"#;

/// The same with its lineage in a place.
fn kept_in(place: &str) -> String {
    let config = BY_DATABASE.replace("into =", &format!("lineage = {place}\ninto ="));
    let lineage = if place.contains("metadata") { "{ name = \"metadata\", from = [] }," } else { "" };
    config.replace("[\"$.n\"] },", &format!("[\"$.n\"] }},{lineage}"))
}

/// Each place for lineage that tells keys of several databases apart, and the table's columns for it.
const PLACES: [(&str, &str); 4] = [
    (r#""ledger""#, ""),
    (r#""none""#, ""),
    (r#"{ column = "metadata", document_id = "{id}" }"#, ", metadata jsonb"),
    (
        r#"{ columns = { key = "redis_key", digest = "redis_digest", database = "redis_db" } }"#,
        ", redis_key text, redis_digest text, redis_db smallint",
    ),
];

/// Enough for rows to be looked for before they are sent.
const COUNT: i64 = 240;

/// The same with the id alone as the key.
fn by_id(config: &str) -> String {
    config.replace("[\"db\", \"id\"]", "[\"id\"]").replace("  { name = \"db\", from = [\"redis.db\"] },\n", "")
}
