//! Which version of the ledger is there, and what a run makes of it.

use super::server::Server;
use crate::ledger::{Outstanding, last_migrations, version};
use crate::model::{Finding, Side};
use crate::postgres::shown_ident;

const LEDGER: &str = "schema redis2pg";

impl Server {
    /// The version of the ledger, and what a run would do about it, in one line.
    pub(in crate::job) fn ledger_in_words(&self) -> String {
        let known = version();
        match self.outstanding {
            Outstanding::Nothing => format!("{LEDGER} has version {known} of the ledger, which this redis2pg goes by"),
            Outstanding::Everything => {
                format!("there is no ledger in the database: a run makes version {known} of it, in {LEDGER}")
            }
            Outstanding::Migrations(count) => format!(
                "{LEDGER} has version {} of the ledger: a run brings it to version {known} ({})",
                known.saturating_sub(count),
                last_migrations(count).join(", ")
            ),
            Outstanding::Newer(count) => format!(
                "{LEDGER} has version {} of the ledger, which a newer redis2pg made: this one knows version {known}, and \
                 leaves it as it is",
                known + count
            ),
            Outstanding::Unknown => {
                format!("{LEDGER} is there, and the role {} may not read its version", self.shown_role())
            }
        }
    }

    /// A ledger that is not of this version, or that the run would have to make, and may not.
    pub(super) fn judge_version(&self) -> Option<Finding> {
        let told = || format!("its {}", self.ledger_in_words().trim_start_matches(LEDGER).trim_start_matches(" has "));
        let (role, owners) = (self.shown_role(), self.owners.iter().map(|owner| shown_ident(owner)));
        let owners: Vec<String> = owners.collect();
        let may_not = !owners.is_empty();
        let (message, hint) = match self.outstanding {
            Outstanding::Everything if may_not => (
                format!("there is no ledger in it, and the role {role} may not make it there"),
                format!("GRANT CREATE ON SCHEMA redis2pg TO {role}, or let another role run redis2pg once."),
            ),
            Outstanding::Migrations(_) if may_not => (
                format!(
                    "the ledger is that of an older redis2pg, {}; the role {role} may not make these, since the ledger is not \
                     its own",
                    told()
                ),
                format!(
                    "Let {0} run this version of redis2pg once, or: GRANT {0} TO {role}; and grant the rights on its tables anew.",
                    owners.join(", ")
                ),
            ),
            Outstanding::Migrations(_) => {
                let message = format!("the ledger is that of an older redis2pg, {}", told());
                return Some(Finding::warning(Side::Postgres, LEDGER, message, ""));
            }
            Outstanding::Newer(_) => {
                let message = format!("the ledger is that of a newer redis2pg, {}", told());
                let hint = "Use the newer redis2pg, which knows what it keeps there.";
                return Some(Finding::warning(Side::Postgres, LEDGER, message, hint));
            }
            Outstanding::Nothing | Outstanding::Everything | Outstanding::Unknown => return None,
        };
        Some(Finding::critical(Side::Postgres, LEDGER, message, hint))
    }
}
