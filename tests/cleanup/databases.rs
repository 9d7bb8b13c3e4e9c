//! Several logical databases: keys of one name in each, which are different keys.

use crate::support::{Case, Client};
use crate::{came_to, ends};
use redis2pg::sandbox::{RedisOptions, RedisServer};

const MAPPING: &str = r#"
[[mapping]]
name = "items"
match = "item:{id}"
databases = [0, 3]
into = "public.items"
key = ["db", "id"]
lineage = { column = "metadata", document_id = "{id}" }
column = [
  { name = "db", from = ["redis.db"] },
  { name = "id", from = ["{id}"] },
  { name = "n", from = ["$.n"] },
  { name = "metadata", from = [] },
]
"#;

#[test]
fn each_database_loses_what_its_own_rows_hold() {
    let redis = RedisServer::start(RedisOptions::default()).unwrap();
    let case = Case::from_source(&format!("{}/0", redis.url()));
    case.sql("SET ROLE redis2pg; CREATE TABLE items (db int, id text, n int, metadata jsonb, PRIMARY KEY (db, id))");
    let database = |number: u8| Client::open(&format!("{}/{number}", redis.url()));
    let (mut own, mut third, mut other) = (database(0), database(3), database(5));
    for n in 0..5 {
        own.set(&format!("item:{n}"), &crate::item(n));
        third.set(&format!("item:{n}"), &crate::item(n));
        other.set(&format!("item:{n}"), &crate::item(n));
    }
    ends(case.run_config(MAPPING, &[]), 0);
    // The same key changes in one of them.
    third.set("item:1", &crate::item(100));
    let outcome = ends(case.cleanup(MAPPING, &["--yes"]), 0);
    came_to(&outcome, 9, &[("stale", 1)]);
    let sizes = [&mut own, &mut third, &mut other].map(|database| database.integer(&[b"DBSIZE"]));
    assert_eq!(sizes, [0, 1, 5]);
    assert_eq!(
        case.sql("SELECT redis_db, sum(deleted) FROM redis2pg.cleanup_batches GROUP BY 1 ORDER BY 1"),
        "0|5\n3|4"
    );
    // What a cleanup deleted in one database is not taken for deleted in the other.
    own.set("item:0", &crate::item(0));
    third.say("DEL item:1");
    let validated = case.validate(MAPPING, &[]);
    let keys = &validated.report["validation"]["keys"];
    assert_eq!((keys["cleaned"].as_i64(), keys["extra"].as_i64(), keys["equal"].as_i64()), (Some(8), Some(1), Some(1)));
}
