//! Keys as the ledger writes them, taken apart into rows again.

use crate::postgres::ident;
use crate::sink::table::LoadTable;

/// A row's key, the jsonb expression `of`, as a row of that alias with the key columns alone, of the types that they stand on.
///
/// Not as a row of the table: it would have all other columns too, and a domain that takes no NULL refuses those that a key does not have.
pub(in crate::sink) fn key_record(table: &LoadTable, of: &str, alias: &str) -> String {
    let keys = table.columns.iter().take(table.key_columns);
    let list: Vec<String> = keys.map(|key| format!("{} {}", ident(&key.name), key.base_type)).collect();
    format!("pg_catalog.jsonb_to_record({of}) AS {alias}({})", list.join(", "))
}
