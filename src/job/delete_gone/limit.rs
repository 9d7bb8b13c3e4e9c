//! How many rows may go: where more would, none does.

use super::look::Seen;
use crate::config::DeleteLimit;
use crate::model::{Failure, Side};

/// A share of one mapping's rows is judged from so many rows on that would go: of two rows, one is a half.
const ENOUGH: i64 = 100;

/// The most rows that may go of so many.
pub(super) fn most(limit: DeleteLimit, owned: i64) -> i64 {
    match limit {
        DeleteLimit::Rows(count) => i64::try_from(count).unwrap_or(i64::MAX),
        DeleteLimit::Share(share) => {
            let most = i128::from(owned) * i128::from(share) / 10_000;
            i64::try_from(most).unwrap_or(i64::MAX)
        }
    }
}

/// The most rows that may go once they are counted: keys that vanish after that may be as many more as a tenth of them, a hundredth of
/// all rows, or a hundred. More says that Redis is being emptied: a limit that lets all go was set for what had gone before.
pub(super) fn at_most(limit: DeleteLimit, owned: i64, counted: i64) -> i64 {
    let more = (counted / 10).max(owned / 100).max(ENOUGH);
    most(limit, owned).min(counted.saturating_add(more))
}

/// Whether so many rows may go: of all mappings together, and of each that loses many. `counts`: of each mapping its rows, and those
/// among them that would go.
pub(in crate::job) fn allows(limit: DeleteLimit, counts: &[(i64, i64)]) -> bool {
    let (owned, gone) = sum(counts);
    let is_share = matches!(limit, DeleteLimit::Share(_));
    let too_many = |(owned, gone): &(i64, i64)| is_share && *gone >= ENOUGH && *gone > most(limit, *owned);
    gone <= most(limit, owned) && !counts.iter().any(too_many)
}

fn sum(counts: &[(i64, i64)]) -> (i64, i64) {
    counts.iter().fold((0, 0), |(owned, gone), (more_owned, more_gone)| (owned + more_owned, gone + more_gone))
}

/// Why none of the rows goes, where too many would: of all mappings together, or of one that loses many.
pub(super) fn refusal(limit: DeleteLimit, seen: &[(&str, Seen)]) -> Option<Failure> {
    let counts: Vec<(i64, i64)> = seen.iter().map(|(_, seen)| (seen.owned, seen.gone)).collect();
    if allows(limit, &counts) {
        return None;
    }
    let (owned, gone) = sum(&counts);
    let parts: Vec<String> = (seen.iter().filter(|(_, seen)| seen.gone > 0))
        .map(|(mapping, seen)| format!("{mapping} {} of {}", seen.gone, seen.owned))
        .collect();
    let message = format!(
        "the keys of {gone} of {owned} rows of this tool are gone from Redis ({}), more than run.delete_gone_limit ({limit}) \
         allows: none was deleted",
        parts.join(", ")
    );
    Some(Failure::usage(Side::Redis, message, HINT))
}

/// A part of the keyspace: a database, or a node of a cluster.
pub(super) struct Part {
    /// How people are told of it.
    pub(super) name: String,
    pub(super) seen: Seen,
    /// Whether it is judged however few rows would go, as all of them together are.
    pub(super) strictly: bool,
}

/// Whether a part of the keyspace with so many rows, of which the keys of so many are gone, lost more than may go: a share is of each part,
/// a number of all together.
pub(in crate::job) fn is_emptied(limit: DeleteLimit, (owned, gone): (i64, i64)) -> bool {
    matches!(limit, DeleteLimit::Share(_)) && gone > most(limit, owned)
}

/// Why none of the rows goes, where one part of the keyspace lost more keys than may go: it was emptied, or came back without its data,
/// while the others are as they were.
pub(super) fn emptied(limit: DeleteLimit, parts: &[Part]) -> Option<Failure> {
    let judged = |part: &&Part| part.strictly || part.seen.gone >= ENOUGH;
    let part = parts.iter().filter(judged).find(|part| is_emptied(limit, (part.seen.owned, part.seen.gone)))?;
    let message = format!(
        "the keys of {} of {} rows of this tool are gone from {}, more than run.delete_gone_limit ({limit}) allows: none was deleted",
        part.seen.gone, part.seen.owned, part.name
    );
    Some(Failure::usage(Side::Redis, message, HINT))
}

/// Why no more rows go: keys vanish while rows are deleted.
pub(super) fn crossed(limit: DeleteLimit, deleted: i64) -> Failure {
    let message = format!(
        "many more keys are gone from Redis than were when they were counted, or more than run.delete_gone_limit ({limit}) \
         allows: {deleted} rows were deleted, and no more are"
    );
    Failure::usage(Side::Redis, message, HINT)
}

const HINT: &str = "If Redis was emptied or lost its data, these rows are what is left of it. If the keys were meant to go: \
                    the same command with --resume and a higher --delete-gone-limit, such as 100%.";

#[cfg(test)]
mod tests {
    use super::{Part, at_most, emptied, most, refusal};
    use crate::config::DeleteLimit;
    use crate::job::delete_gone::look::Seen;

    #[test]
    fn a_share_is_of_all_rows_and_of_each_mapping_that_loses_many() {
        let half = DeleteLimit::Share(5000);
        let seen = |owned, gone| Seen { owned, gone, ..Seen::default() };
        let refused = |limit, seen: &[(&str, Seen)]| refusal(limit, seen).map(|failure| failure.message);
        assert_eq!((most(half, 5), most(DeleteLimit::Rows(0), 5), most(DeleteLimit::Rows(3), 9)), (2, 0, 3));
        assert_eq!(
            (at_most(half, 90_000, 2), at_most(half, 90_000, 20_000), at_most(half, 900, 2)),
            (902, 22_000, 102)
        );
        assert_eq!((at_most(half, 900, 449), at_most(DeleteLimit::Rows(4), 900, 3)), (450, 4));
        assert_eq!(at_most(DeleteLimit::Share(10_000), 900, 2), 102, "all that were gone, not all that go");
        assert_eq!(refused(half, &[("a", seen(4, 2))]), None);
        let told = refused(half, &[("a", seen(4, 3)), ("b", seen(1, 0))]).unwrap();
        assert!(told.contains("3 of 5 rows") && told.contains("(a 3 of 4)") && told.contains("(50%)"), "{told}");
        // A tenth of all, and nearly all of one.
        assert!(refused(half, &[("a", seen(900, 0)), ("b", seen(101, 100))]).is_some());
        assert_eq!(refused(half, &[("a", seen(900, 0)), ("b", seen(99, 99))]), None);
        assert_eq!(refused(DeleteLimit::Rows(100), &[("a", seen(900, 0)), ("b", seen(101, 100))]), None);
        assert!(refused(DeleteLimit::Rows(99), &[("b", seen(101, 100))]).is_some());
        assert!(refused(DeleteLimit::Rows(0), &[("b", seen(101, 1))]).is_some());
        assert_eq!(refused(DeleteLimit::Rows(0), &[("b", seen(101, 0))]), None);
        assert_eq!(refused(DeleteLimit::Share(10_000), &[("b", seen(101, 101))]), None);
        assert_eq!(refused(half, &[]), None);
    }

    #[test]
    fn a_part_of_the_keyspace_is_judged_by_itself() {
        let half = DeleteLimit::Share(5000);
        let refused = |limit, owned, gone, strictly| {
            let part = |name: &str, owned, gone| Part {
                name: name.to_owned(),
                seen: Seen { owned, gone, ..Seen::default() },
                strictly,
            };
            emptied(limit, &[part("database 0", 9000, 3), part("database 1", owned, gone)])
                .map(|failure| failure.message)
        };
        let told = refused(half, 3, 3, true).unwrap();
        assert!(told.contains("3 of 3 rows") && told.contains("gone from database 1,"), "{told}");
        assert_eq!((refused(half, 4, 2, true), refused(half, 3, 3, false)), (None, None));
        assert!(refused(half, 150, 100, false).is_some());
        assert_eq!(refused(DeleteLimit::Share(10_000), 3, 3, true), None);
        assert_eq!(refused(DeleteLimit::Rows(5), 3, 3, true), None, "a number is of all together");
    }
}
