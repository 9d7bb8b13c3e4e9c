//! Why a key stays, as it is counted and told.

use crate::job::validate::LeftOut;
use crate::model::Class;
use crate::sink::{Compared, Unproven};
use crate::source::redis::UnlinkOutcome;

/// Columns that are named at once.
const NAMED: usize = 10;

/// No row names it and a run that counts.
pub(super) const NO_LINEAGE: &str = "no_lineage";
/// A column rounds what it holds, or cuts some of it off.
pub(super) const ROUNDED: &str = "rounded";
/// It is a list whose rows are known by the places of their elements.
pub(super) const POSITIONAL: &str = "positional";
/// Elements of it are equal, and so one row.
pub(super) const EQUAL_ELEMENTS: &str = "equal_elements";
/// It makes no row.
pub(super) const NO_ROW: &str = "no_row";
/// What it holds was not read as a whole.
pub(super) const NOT_READ: &str = "not_read";
/// It was written to since it was compared.
pub(super) const CHANGED: &str = "changed";
/// Its time of expiry was set anew since.
pub(super) const RETIMED: &str = "retimed";
/// It cannot be kept in the backup.
pub(super) const NOT_SAVED: &str = "not_saved";
/// It waited for its deletion for too long after it was compared.
pub(super) const OUTDATED: &str = "outdated";
/// The user may not delete it.
pub(super) const FORBIDDEN: &str = "forbidden";
/// Redis has no memory left for the transaction in which it would go.
pub(super) const NO_MEMORY: &str = "no_memory";
/// A stop came before it, or a failure.
pub(super) const NOT_REACHED: &str = "not_reached";
/// No mapping takes it.
pub(super) const UNMATCHED: &str = "unmatched";
/// It looks like one of a mapping, and is of another shape.
pub(super) const SHAPE_REFUSED: &str = "shape_refused";
/// Somebody set it apart, or it is beyond a limit.
pub(super) const EXCLUDED: &str = "excluded";

/// Of a key that is not equal. `left_out`: the keys that the run never read.
pub(super) fn of_compared(key: &Compared, left_out: &LeftOut) -> (&'static str, String) {
    if key.class == Class::Missing && key.is_without_rows() && left_out.may_be(&key.key) {
        return (EXCLUDED, "the run may never have read it".to_owned());
    }
    let detail = match (key.detail.is_empty(), key.columns.is_empty()) {
        (true, false) => format!("{} differs", key.columns.join(", ")),
        _ => key.detail.clone(),
    };
    (key.class.name(), detail)
}

/// Of a key that is equal and may not go. `columns`: the names of its mapping's columns.
pub(super) fn of_unproven(why: Unproven, columns: &[String]) -> (&'static str, String) {
    let (reason, detail) = match why {
        Unproven::NoLineage => (NO_LINEAGE, "no lineage says that a run which counts made its rows"),
        Unproven::Rounded(rounded) => {
            let named = some(rounded.places().filter_map(|place| Some(columns.get(place)?.clone())));
            let what = "the type rounds the value, cuts some of it off, or shows it otherwise than it was sent";
            return (ROUNDED, format!("{named}: {what}"));
        }
        Unproven::EqualElements => (
            EQUAL_ELEMENTS,
            "elements of it that are equal are one row, or may be: how many there are is nowhere but in the key. With element.index in the \
             mapping's key each has its own",
        ),
        Unproven::NoRow => (NO_ROW, "it makes no row"),
        Unproven::NotRead => (NOT_READ, "what it holds was not read as a whole"),
        Unproven::Rejected => (Class::Rejected.name(), "a reject of it is open"),
    };
    (reason, detail.to_owned())
}

/// Names, of many the first ones.
pub(super) fn some(names: impl Iterator<Item = String>) -> String {
    let mut named: Vec<String> = names.collect();
    let more = named.len().saturating_sub(NAMED);
    named.truncate(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", named.join(", "))
}

/// Of a key that was to be deleted; `None` where it is gone.
pub(super) fn of_outcome(outcome: UnlinkOutcome) -> Option<(&'static str, &'static str)> {
    match outcome {
        UnlinkOutcome::Deleted | UnlinkOutcome::Gone | UnlinkOutcome::Unconfirmed => None,
        UnlinkOutcome::Changed => Some((CHANGED, "it was written to after it was compared")),
        UnlinkOutcome::PerhapsAnew => Some((
            CHANGED,
            "the answer to its deletion was lost, and it is there: it was never deleted, or was deleted and made anew",
        )),
        UnlinkOutcome::Retimed => Some((RETIMED, "its time of expiry was set anew after it was compared")),
        UnlinkOutcome::Forbidden => Some((FORBIDDEN, "this user may not delete it")),
        UnlinkOutcome::Outdated => Some((OUTDATED, "more than ten seconds passed after it was compared")),
        UnlinkOutcome::NoMemory => Some((
            NO_MEMORY,
            "Redis has no memory left (maxmemory) for a transaction, and the key is too large to go without one",
        )),
    }
}
