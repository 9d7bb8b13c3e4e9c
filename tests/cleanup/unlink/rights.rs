//! What a server and its user must be for keys to be deleted, and what is said where they are not.

use super::talk::Talk;
use super::{Always, items, server, string, tells_expire_time, unlinked, unlinker, unlinking};
use crate::support::scripted::{Answer, Keyspace, ScriptedRedis, array, bulk, reply};
use redis2pg::model::{Failure, RedisType};
use redis2pg::sandbox::{RedisOptions, RedisServer};
use redis2pg::source::redis::{Candidate, RedisSource, SourceSettings, UnlinkAbility, UnlinkOutcome};

/// A server with a user `u`, and that user's URL.
fn limited(rights: &str) -> (RedisServer, Talk, String) {
    let server = server(RedisOptions { acl: vec![format!("u on >p {rights}")], ..RedisOptions::default() });
    let redis = Talk::to(server.port());
    let url = format!("redis://u:p@127.0.0.1:{}", server.port());
    (server, redis, url)
}

async fn ability(url: &str) -> Result<UnlinkAbility, Failure> {
    RedisSource::connect(&SourceSettings::new(url), None).await.unwrap().unlink_ability().await
}

async fn refused(url: &str, words: &[&str]) {
    let failure = ability(url).await.unwrap_err();
    assert_eq!(failure.exit.code(), 2, "{failure}");
    let said = format!("{failure} {}", failure.hint);
    for word in words {
        assert!(said.contains(word), "{word}: {said}");
    }
}

#[tokio::test]
async fn a_right_that_is_missing_is_named_before_anything_is_deleted() {
    for (rights, words) in [
        ("~* +@all -unlink", &["UNLINK", "ACL SETUSER u +unlink"][..]),
        ("~* +@all -unlink -multi", &["UNLINK", "+unlink"]),
        ("~* +@all -unlink -eval", &["UNLINK", "+unlink"]),
        ("~* +@all -eval -watch", &["lacking: EVAL", "lacking: WATCH", "+eval", "+watch"]),
        ("~* +@all -get -exec", &["lacking: GET", "lacking: EXEC"]),
        ("~* +@all -@scripting -@transaction", &["lacking: EVAL", "lacking: WATCH, MULTI, EXEC"]),
    ] {
        let (_server, mut redis, url) = limited(rights);
        redis.say(&["SET", "redis2pg:probe", "somebody's"]);
        refused(&url, words).await;
        assert_eq!(redis.there(&["redis2pg:probe"]), [true], "{rights}");
    }
}

#[tokio::test]
async fn looking_at_the_rights_deletes_nothing_and_needs_no_right_to_the_probe() {
    let (_server, mut redis, url) = limited("~app:* +@all");
    redis.say(&["SET", "redis2pg:probe", "somebody's"]);
    assert_eq!(ability(&url).await.unwrap(), UnlinkAbility { script: true, watch: true });
    let (_other, mut other, url) = limited("~* +@all -multi");
    other.say(&["SET", "redis2pg:probe", "somebody's"]);
    assert_eq!(ability(&url).await.unwrap(), UnlinkAbility { script: true, watch: false });
    assert_eq!((redis.there(&["redis2pg:probe"]), other.there(&["redis2pg:probe"])), (vec![true], vec![true]));
}

#[tokio::test]
async fn without_scripts_strings_are_watched_and_without_a_watch_only_strings_go() {
    for (rights, script, watch) in [
        ("~* +@all", true, true),
        ("~* +@all -eval", false, true),
        ("~* +@all -@scripting", false, true),
        ("~* +@all -get", false, true),
        ("~* +@all -unwatch", true, true),
        ("~* +@all -info", true, true),
        ("~* +@all -client", true, true),
        ("~* +@all -watch", true, false),
        ("~* +@all -exec", true, false),
    ] {
        let (_server, mut redis, url) = limited(rights);
        redis.say(&["MSET", "string", "v", "changed", "w"]);
        redis.say(&["HSET", "hash", "f", "v"]);
        redis.say(&["HSET", "changed hash", "f", "w"]);
        let unlinker = unlinker(&url).await;
        assert_eq!(unlinker.ability(), UnlinkAbility { script, watch }, "{rights}");
        let hash = |key| items(key, RedisType::Hash, &["f", "v"]);
        for _ in 0..2 {
            let candidates = [string("string", "v"), string("changed", "v"), hash("hash"), hash("changed hash")];
            let (deleted, changed) = match watch {
                true => (UnlinkOutcome::Deleted, UnlinkOutcome::Changed),
                false => (UnlinkOutcome::Forbidden, UnlinkOutcome::Forbidden),
            };
            let expected = [UnlinkOutcome::Deleted, UnlinkOutcome::Changed, deleted, changed];
            assert_eq!(unlinked(&unlinker, &candidates).await, expected, "{rights}");
            assert_eq!(redis.there(&["string", "changed", "hash", "changed hash"]), [false, true, !watch, true]);
            redis.say(&["SET", "string", "v"]);
            redis.say(&["HSET", "hash", "f", "v"]);
        }
    }
}

/// Where only the time that is left is told, the script asks what time it is.
#[tokio::test]
async fn without_the_time_strings_whose_expiry_does_not_matter_are_watched() {
    let (_server, mut redis, url) = limited("~* +@all -time -pexpiretime");
    redis.say(&["MSET", "string", "v", "changed", "w"]);
    let unlinker = unlinker(&url).await;
    assert_eq!(unlinker.ability(), UnlinkAbility { script: false, watch: true });
    let candidates = ["string", "changed"].map(|key| Candidate { expires_at: None, ..string(key, "v") });
    assert_eq!(unlinked(&unlinker, &candidates).await, [UnlinkOutcome::Deleted, UnlinkOutcome::Changed]);
    assert_eq!(redis.there(&["string", "changed"]), [false, true]);
    let (_other, _, url) = limited("~* +@all -time -pexpiretime -watch");
    refused(&url, &["lacking: TIME", "lacking: WATCH", "+time"]).await;
}

#[tokio::test]
async fn a_key_that_the_user_may_not_delete_stays_and_keeps_no_other() {
    // Rights to read alone came with Redis 7.
    let reading = if tells_expire_time() { &["~mine:*", "~mine:* %R~*"][..] } else { &["~mine:*"] };
    let commands = ["+@all", "+@all -eval"];
    let all = reading.iter().flat_map(|keys| commands.map(|commands| format!("{keys} {commands}")));
    for rights in all {
        let rights = rights.as_str();
        let (_server, mut redis, url) = limited(rights);
        let mut candidates = Vec::new();
        for n in 0..100 {
            let (mine, other) = (format!("mine:{n}"), format!("other:{n}"));
            redis.say(&["SET", &mine, "v"]);
            redis.say(&["HSET", &format!("{mine}:h"), "f", "v"]);
            candidates.push(string(&mine, "v"));
            candidates.push(items(&format!("{mine}:h"), RedisType::Hash, &["f", "v"]));
            if n % 10 == 3 {
                redis.say(&["SET", &other, "v"]);
                redis.say(&["HSET", &format!("{other}:h"), "f", "v"]);
                candidates.push(string(&other, "v"));
                candidates.push(items(&format!("{other}:h"), RedisType::Hash, &["f", "v"]));
            }
        }
        let outcomes = unlinked(&unlinker(&url).await, &candidates).await;
        for (candidate, outcome) in candidates.iter().zip(outcomes) {
            let mine = candidate.key.as_bytes().starts_with(b"mine:");
            let expected = if mine { UnlinkOutcome::Deleted } else { UnlinkOutcome::Forbidden };
            assert_eq!(outcome, expected, "{} with {rights}", candidate.key);
        }
        assert_eq!(redis.say(&["DBSIZE"]).number(), 20, "{rights}");
    }
}

#[tokio::test]
async fn a_right_that_is_taken_away_in_the_middle_ends_the_work_and_deletes_nothing() {
    for right in ["unlink", "multi", "watch", "exec"] {
        let (_server, mut redis, url) = limited("~* +@all");
        redis.say(&["HSET", "hash", "f", "v"]);
        let unlinker = unlinker(&url).await;
        redis.say(&["ACL", "SETUSER", "u", &format!("-{right}")]);
        let failure = unlinking(&unlinker, &[items("hash", RedisType::Hash, &["f", "v"])], &Always).await.unwrap_err();
        assert!(failure.message.to_lowercase().contains(right), "{failure}");
        assert_eq!(redis.there(&["hash"]), [true], "{right}");
    }
    // Strings are read by MGET where the user may run it, and else by GET.
    for rights in [["-unlink", "+get"], ["-eval", "+get"], ["-get", "-mget"]] {
        let (_server, mut redis, url) = limited("~* +@all");
        redis.say(&["SET", "string", "v"]);
        let unlinker = unlinker(&url).await;
        redis.say(&["ACL", "SETUSER", "u", rights[0], rights[1]]);
        let failure = unlinking(&unlinker, &[string("string", "v")], &Always).await.unwrap_err();
        assert!(failure.message.contains("EVAL"), "{failure}");
        assert_eq!(redis.there(&["string"]), [true], "{rights:?}");
    }
}

/// A server that says this of itself.
fn claims(info: Option<&'static str>, hello: Option<[&'static str; 3]>) -> String {
    let server = ScriptedRedis::start(Keyspace::default(), move |_, command| match command[0].as_str() {
        "INFO" => match info {
            Some(info) => reply(bulk(info)),
            None => reply("-NOPERM this user has no permissions to run the 'info' command\r\n".to_owned()),
        },
        "HELLO" => hello.map(|[version, mode, role]| {
            let words = ["version", version, "proto", "2", "mode", mode, "role", role];
            Answer::Reply(array(&words.map(bulk)))
        }),
        _ => None,
    });
    server.url()
}

#[tokio::test]
async fn clusters_replicas_and_servers_before_6_are_refused() {
    let server = |line: &'static str| claims(Some(line), None);
    refused(&server("redis_version:7.0.0\r\nrole:master\r\ncluster_enabled:1\r\n"), &["node of a cluster"]).await;
    refused(&server("redis_version:7.0.0\r\nrole:slave\r\ncluster_enabled:0\r\n"), &["replica", "primary"]).await;
    refused(&server("redis_version:5.0.14\r\nrole:master\r\ncluster_enabled:0\r\n"), &["version 5", "Redis 6"]).await;
    refused(&server("redis_version:7.0.0\r\n"), &["neither by INFO nor by HELLO"]).await;
    let greets = |version, mode, role| claims(None, Some([version, mode, role]));
    refused(&greets("7.0.0", "cluster", "master"), &["node of a cluster"]).await;
    refused(&greets("7.0.0", "standalone", "replica"), &["replica"]).await;
    refused(&claims(None, None), &["neither by INFO nor by HELLO"]).await;
}

#[tokio::test]
async fn a_real_replica_is_refused_until_it_is_a_primary_again() {
    let (primary, replica) = (server(RedisOptions::default()), server(RedisOptions::default()));
    let mut redis = Talk::to(replica.port());
    let source = RedisSource::connect(&SourceSettings::new(replica.url()), None).await.unwrap();
    redis.say(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
    // The connection is older than the role.
    let failure = source.unlink_ability().await.unwrap_err();
    assert!(failure.exit.code() == 2 && failure.message.contains("replica"), "{failure}");
    redis.say(&["REPLICAOF", "NO", "ONE"]);
    assert!(source.unlink_ability().await.is_ok());
}
