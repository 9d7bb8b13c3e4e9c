//! A Redis whose last save to disk failed takes no writes, and refuses even PING to who has no password: it is read, and keeps its keys.

use crate::support::{Case, Client, until};
use crate::{ITEMS, TABLES, came_to, ends, keys, number, set_items};
use redis2pg::sandbox::{RedisOptions, RedisServer};

#[test]
fn a_redis_that_cannot_save_is_read_and_it_is_said_why_nothing_is_deleted() {
    let data = tempfile::tempdir().unwrap();
    let settings = vec![format!("dir {}", data.path().display()), "save 900 1".to_owned()];
    let server =
        RedisServer::start(RedisOptions { password: Some(String::new()), settings, ..RedisOptions::default() });
    let server = server.unwrap();
    let case = Case::from_source(&format!("{}/0", server.url()));
    case.sql(TABLES);
    set_items(&case, 20);
    let mut redis = case.redis();
    data.close().unwrap();
    redis.say("BGSAVE");
    let persistence = |redis: &mut Client| String::from_utf8(redis.bytes(&[b"INFO", b"persistence"])).unwrap();
    until("the save has failed", || persistence(&mut redis).contains("rdb_last_bgsave_status:err"));
    ends(case.run_config(ITEMS, &[]), 0);
    ends(case.validate(ITEMS, &["--strict"]), 0);
    let file = tempfile::tempdir().unwrap();
    let path = file.path().join("cache.backup");
    let backup = case.command().args(["backup", "--from", &case.source, "--file", path.to_str().unwrap()]).output();
    let backup = backup.unwrap();
    assert!(backup.status.success(), "{}", String::from_utf8_lossy(&backup.stderr));
    let refused = ends(case.cleanup(ITEMS, &["--yes"]), 5);
    assert!(refused.stderr.contains("takes no writes, since its last save to disk failed"), "{refused}");
    assert!(refused.stderr.contains("once BGSAVE works") && keys(&case) == 20, "{refused}");
    // Nothing was done to any of them, and one that goes by itself then was deleted by nobody.
    assert_eq!(refused.report["cleanup"]["kept"]["not_reached"], 20, "{:#}", refused.report);
    assert_eq!(number(&refused, "unknown"), 0, "{refused}");
    redis.say("CONFIG SET stop-writes-on-bgsave-error no");
    redis.say("DEL item:0");
    let cleaned = ends(case.cleanup(ITEMS, &["--yes"]), 0);
    came_to(&cleaned, 19, &[]);
    assert_eq!(number(&cleaned, "settled"), 0, "{cleaned}");
}
