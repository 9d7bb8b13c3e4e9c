//! Whose a row is: the one rule, as SQL, and the settings by which the ledger spells keys.

/// The run that wrote the version of a row that is there, as text, if nobody changed it since.
///
/// `xmin`: the row's, as an expression of type xid; `name`: the table's in the ledger. A row of the journal was written by
/// the transaction of the rows that it speaks of, so that both have one `xmin`: after a restore from a dump, which gives
/// all of them others, the journal speaks of no row.
pub(super) fn owner(xmin: &str, name: &str) -> String {
    format!(
        "(SELECT b.run_id::text FROM redis2pg.batches b WHERE (b.xid & 4294967295) = {xmin}::text::bigint \
         AND b.xmin = {xmin} AND b.table_name = {name} ORDER BY b.xid DESC LIMIT 1)"
    )
}

/// Set where values are read from text and compared as text, keys in the ledger among them: neither may depend on the
/// session, nor lose a digit.
pub(super) const TEXT_SETTINGS: &str = "SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, YMD'; \
     SET LOCAL intervalstyle = 'postgres'; SET LOCAL extra_float_digits = 1; SET LOCAL xmloption = 'content'";
