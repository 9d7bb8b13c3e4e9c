//! Tables with domains that take no NULL: rows are known by their keys alone, and none of their other columns is.

use crate::preset::{delete, gone};
use crate::support::Case;
use serde_json::json;

#[test]
fn rows_whose_keys_are_gone_are_deleted_whatever_domains_their_table_has() {
    for lineage in [
        "lineage = \"ledger\"",
        r#"lineage = { columns = { key = "redis_key", digest = "redis_digest", run = "redis_run", expires_at = "expires_at" } }"#,
    ] {
        let case = Case::new();
        case.sql(
            "SET ROLE redis2pg; CREATE DOMAIN strict AS text NOT NULL; CREATE DOMAIN there AS text CHECK (VALUE IS NOT NULL); \
             CREATE TABLE items (id strict PRIMARY KEY, above strict DEFAULT '0' REFERENCES items ON DELETE CASCADE, \
             mark there DEFAULT 'm', redis_key text, redis_digest text, redis_run uuid, expires_at timestamptz)",
        );
        let expires = match lineage.contains("expires_at") {
            true => "",
            false => r#", { name = "expires_at", from = ["redis.expires_at"] }"#,
        };
        let config = format!(
            "[[mapping]]\nname = \"items\"\nmatch = \"item:{{id}}\"\ninto = \"public.items\"\nkey = [\"id\"]\n{lineage}\n\
             column = [{{ name = \"id\", from = [\"{{id}}\"] }}{expires}]\n"
        );
        let mut redis = case.redis();
        (0..6).for_each(|id| redis.set(&format!("item:{id}"), "{}"));
        case.run_config(&config, &[]).exits(0);
        delete(&mut redis, &["item:4", "item:5"]);
        let run = case.run_config(&config, &["--delete-gone"]).exits(0);
        assert_eq!(gone(&run, "items"), json!({"deleted": 2}), "{run}");
        assert_eq!(case.sql("SELECT id FROM items ORDER BY 1"), "0\n1\n2\n3", "{lineage}");
    }
}
