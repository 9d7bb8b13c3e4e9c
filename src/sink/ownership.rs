//! Whose a row is: the one rule, as SQL, and the settings by which the ledger spells keys.

use super::load::statements::{Side, row_key};
use super::table::{LoadTable, Provenance};

/// The run that wrote the version of a row that is there, as text, if nobody changed it since.
///
/// `xmin`: the row's, as an expression of type xid; `name`: the table's in the ledger. A row of the journal was written by
/// the transaction of the rows that it speaks of, so that both have one `xmin`: after a restore from a dump, which gives
/// all of them others, the journal speaks of no row.
///
/// `named`: the run that the row's lineage names, as an expression of type text; `None` where that is not kept. A trigger or a
/// foreign key's action may change rows of others in the transaction of a load: those have its `xmin`, and no lineage of its run.
pub(super) fn owner(xmin: &str, name: &str, named: Option<&str>) -> String {
    let named = named.map(|run| format!(" AND b.run_id::text = ({run})")).unwrap_or_default();
    format!(
        "(SELECT b.run_id::text FROM redis2pg.batches b WHERE (b.xid & 4294967295) = {xmin}::text::bigint \
         AND b.xmin = {xmin} AND b.table_name = {name}{named} ORDER BY b.xid DESC LIMIT 1)"
    )
}

/// The [`owner`] of the target's row `t`. `name`: the table's name in the ledger, as an expression.
pub(super) fn owner_of(table: &LoadTable, name: &str) -> String {
    owner("t.xmin", name, named_run(table, name, None).as_deref())
}

/// The run that the lineage of the target's row `t` names; `None` where that is not kept. `name`: as for [`owner_of`]; `joined`:
/// what the ledger says, where it is joined for a table whose lineage is there.
pub(super) fn named_run(table: &LoadTable, name: &str, joined: Option<&str>) -> Option<String> {
    let of_ledger = format!(
        "(SELECT w.run_id::text FROM redis2pg.loaded w WHERE w.table_name = {name} AND w.row_key = {})",
        row_key(table, Side::Target)
    );
    // A row that was loaded before its table had room for lineage has it in the ledger.
    let or_in_ledger = |of_row: String| format!("coalesce({of_row}, {of_ledger})");
    match table.provenance {
        Provenance::Object(object) => {
            table.of_target(object).map(|t| or_in_ledger(format!("{t} -> 'redis2pg' ->> 'run'")))
        }
        Provenance::Columns { run, .. } => {
            run.and_then(|run| table.of_target(run)).map(|t| or_in_ledger(format!("{t}::text")))
        }
        Provenance::Ledger => Some(joined.map_or(of_ledger, str::to_owned)),
        Provenance::Nowhere => None,
    }
}

/// Set where values are read from text and compared as text, keys in the ledger among them: neither may depend on the
/// session, nor lose a digit.
pub(super) const TEXT_SETTINGS: &str = "SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, YMD'; \
     SET LOCAL intervalstyle = 'postgres'; SET LOCAL extra_float_digits = 1; \
     SET LOCAL bytea_output = 'hex'; SET LOCAL lc_monetary = 'C'; SET LOCAL xmloption = 'content'; \
     SET LOCAL array_nulls = on";
