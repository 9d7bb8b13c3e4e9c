//! Records of which each has other fields: a field that is absent leaves its column alone, however many sets of them there are.

use crate::support;

use redis2pg::sandbox::{PostgresOptions, PostgresServer};
use std::fmt::Write;
use support::Case;

/// Optional fields: 2^10 sets of them.
const FIELDS: u32 = 10;

#[test]
fn a_batch_of_hundreds_of_sets_of_fields_takes_no_more_locks_than_the_server_has() {
    // Room for some hundred locks, of which a staging table takes several.
    let mut options = PostgresOptions::quick();
    for (name, few) in [("max_locks_per_transaction", "10"), ("max_connections", "20")] {
        options.settings.push((name.to_owned(), few.to_owned()));
    }
    let server = PostgresServer::start(options).unwrap();
    let target = server.create_database("shapes").unwrap();
    let sql = |sql: &str| server.execute("shapes", sql).unwrap();
    let columns: String = (0..FIELDS).map(|field| format!(", f{field} text DEFAULT '-'")).collect();
    sql(&format!("SET ROLE redis2pg; CREATE TABLE wide (id int PRIMARY KEY{columns})"));
    // The trigger must not fire for a column that a row lacks: then each set of fields has a staging table of its own.
    let columns: Vec<String> = (0..FIELDS).map(|field| format!("f{field}")).collect();
    sql(&format!(
        "SET ROLE redis2pg; CREATE TABLE watched (LIKE wide INCLUDING ALL); CREATE TRIGGER watch BEFORE UPDATE OF {} ON watched \
         FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        columns.join(", ")
    ));
    let case = Case::with_ends(&support::redis_database(), &target);
    let record = |id: u32| {
        let members: Vec<String> =
            (0..FIELDS).filter(|field| id >> field & 1 == 1).map(|field| format!("\"f{field}\":{id}")).collect();
        (format!("wide:{id}"), format!("{{{}}}", members.join(",")))
    };
    let ids = 512..900;
    case.redis().set_many(&ids.clone().map(record).collect::<Vec<_>>());
    for (table, transactions) in [("wide", "1"), ("watched", "7")] {
        let mut config = format!(
            "[[mapping]]\nname = \"wide\"\nmatch = \"wide:{{id}}\"\ninto = \"public.{table}\"\nkey = \"id\"\ncolumn = [\n"
        );
        config.push_str("  { name = \"id\", from = \"{id}\" },\n");
        (0..FIELDS).for_each(|field| writeln!(config, "  {{ name = \"f{field}\", from = \"$.f{field}\" }},").unwrap());
        config.push(']');
        let run =
            case.run_config(&config, &["--writers", "1", "--batch-rows", "5000", "--retry-deadline", "1s"]).exits(0);
        assert_eq!(run.total("inserted"), 388, "{run}");
        for field in 0..FIELDS {
            let right = format!("CASE WHEN id >> {field} & 1 = 1 THEN id::text ELSE '-' END");
            assert_eq!(sql(&format!("SELECT count(*) FROM {table} WHERE f{field} = {right}")), "388", "f{field}");
        }
        assert_eq!(sql(&format!("SELECT count(DISTINCT xmin::text) FROM {table}")), transactions, "{table}");
    }
}
