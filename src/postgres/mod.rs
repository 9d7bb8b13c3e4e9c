//! PostgreSQL: connections, the catalog, SQL text, COPY, and what a server error means. Knows nothing of Redis.
//!
//! Uses `model`. Every statement that is sent runs inside an explicit transaction, so that all works through a pooler
//! in transaction mode: no session settings, no named prepared statements, no session locks. (ANALYZE is a message of
//! its own, which is a transaction too.)

mod answer;
mod catalog;
mod columns;
mod columns_apart;
mod connect;
mod copy;
mod incoming_keys;
mod key_operators;
mod limits;
mod partitioning;
mod qualified;
mod row_security;
mod sequences;
mod sql;
mod table_design;
mod triggers;
mod type_name;
mod unique_index;
mod verdict;

pub use answer::answered;
pub use catalog::{
    ForeignKey, Privilege, Privileges, TableFacts, estimate_rows, missing_tables, read_table, table_is_empty,
};
pub use columns::ColumnSql;
pub use connect::{Target, TargetOptions};
pub use copy::{CopyBuffer, copy_mixed_rows, copy_rows, copy_tuples, push_field};
pub use incoming_keys::IncomingKey;
pub use key_operators::{Collating, key_operators};
pub use limits::Limits;
pub use partitioning::Partitioning;
pub use row_security::{RestrictivePolicy, RowSecurity};
pub use sequences::{FedColumn, Steps, fed_columns};
pub use sql::{
    READ_COMMITTED, distinct, exact_text, ident, literal, milliseconds, published_script, query, query_with_conditions,
    script, shown_ident, shown_list, shown_table, table_ident,
};
pub use table_design::{ColumnDesign, Grant, TableDesign, statements};
pub use triggers::{RowTrigger, Rule};
pub use type_name::{KnownType, TypeName, resolve};
pub use unique_index::UniqueIndex;
pub use verdict::{Verdict, describe, error_line, failure, is_not_supported, refuses_value, said, verdict};
