//! Strings that are compared and deleted by one call of the script.

use super::talk::Talk;
use super::{server, string, unlinked, unlinker};
use redis2pg::sandbox::RedisOptions;
use redis2pg::source::redis::{Candidate, UnlinkOutcome};

/// Values are asked for together and keys deleted together: each outcome must be its own key's all the same.
#[tokio::test]
async fn of_strings_that_go_together_each_is_told_apart() {
    for rights in ["+@all", "+@all -mget"] {
        let server = server(RedisOptions { acl: vec![format!("u on >p ~* &* {rights}")], ..RedisOptions::default() });
        let mut redis = Talk::to(server.port());
        let unlinker = unlinker(&format!("redis://u:p@127.0.0.1:{}", server.port())).await;
        let names: Vec<String> = (0..600).map(|n| format!("k{n}")).collect();
        for (n, name) in names.iter().enumerate() {
            match n % 6 {
                0 | 1 => redis.say(&["SET", name, "v"]),
                2 => redis.say(&["SET", name, "another"]),
                3 => redis.say(&["RPUSH", name, "v"]),
                4 => redis.say(&["SET", name, "v", "EX", "10000"]),
                _ => redis.say(&["DEL", name]),
            };
        }
        let candidates: Vec<Candidate> =
            names.iter().map(|name| Candidate { expires_at: Some(None), ..string(name, "v") }).collect();
        use UnlinkOutcome::{Changed, Deleted, Gone, Retimed};
        let told = [Deleted, Deleted, Changed, Changed, Retimed, Gone].repeat(100);
        assert_eq!(unlinked(&unlinker, &candidates).await, told, "{rights}");
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let stays = told.iter().map(|outcome| matches!(outcome, Changed | Retimed)).collect::<Vec<_>>();
        assert_eq!(redis.there(&names), stays, "{rights}");
    }
}

/// Nobody promises it, and the account must not say that both were there.
#[tokio::test]
async fn a_key_that_is_named_twice_is_gone_and_not_counted_as_two() {
    let server = server(RedisOptions::default());
    let mut redis = Talk::to(server.port());
    redis.say(&["SET", "k", "v"]);
    let outcomes = unlinked(&unlinker(&server.url()).await, &[string("k", "v"), string("k", "v")]).await;
    assert_eq!(outcomes, [UnlinkOutcome::Unconfirmed; 2]);
    assert_eq!(redis.there(&["k"]), [false]);
}
