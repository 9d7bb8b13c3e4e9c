//! How staging tables are made.

use uuid::Uuid;

/// Bytes of a page that a single row does not have to itself: the page's header and its line pointer, aligned.
const PAGE_OVERHEAD: u32 = 32;

/// How staging tables are made.
#[derive(Clone, Copy, Debug, Default)]
pub struct StagingTables {
    in_ledger: bool,
    page: Option<u32>,
}

impl StagingTables {
    /// `may_make_temporary`: else staging tables are made in the ledger's schema, and dropped. `page`: bytes of a page of the server.
    pub fn new(may_make_temporary: bool, page: u32) -> Self {
        Self { in_ledger: !may_make_temporary, page: Some(page) }
    }

    /// Whether a staging table outlives its transaction unless it is dropped.
    pub(in crate::sink) fn outlives(self) -> bool {
        self.in_ledger
    }

    /// The name of a staging table and what begins the statement that makes it. `token`: what sets it apart from those of others, where all are
    /// in one schema.
    pub(in crate::sink) fn table(self, name: &str, token: Uuid) -> (String, String) {
        // Schema-qualified: a temporary table must not be shadowed by, nor shadow, a table of the customer's.
        if self.in_ledger {
            let name = format!("redis2pg.{name}_{}", token.simple());
            (name.clone(), format!("CREATE UNLOGGED TABLE {name}{}", self.storage()))
        } else {
            let create = format!("CREATE TEMPORARY TABLE redis2pg_{name}{} ON COMMIT DROP", self.storage());
            (format!("pg_temp.redis2pg_{name}"), create)
        }
    }

    /// Rows that fit into a page are not compressed: they are read once or twice, and compressing them was a ninth of all that a validation
    /// computed on both servers and in the client. Larger ones still are.
    fn storage(self) -> String {
        self.page.map_or_else(String::new, |page| format!(" WITH (toast_tuple_target = {})", page - PAGE_OVERHEAD))
    }
}
