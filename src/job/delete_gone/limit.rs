//! How many rows may go: where more would, none does.

use super::look::Seen;
use crate::config::MaxRejects;
use crate::model::{Failure, Side};

/// A share of one mapping's rows is judged from so many rows on that would go: of two rows, one is a half.
const ENOUGH: i64 = 100;

/// The most rows that may go of so many.
pub(super) fn most(limit: MaxRejects, owned: i64) -> i64 {
    match limit {
        MaxRejects::Unlimited => i64::MAX,
        MaxRejects::Count(count) => i64::try_from(count).unwrap_or(i64::MAX),
        MaxRejects::Share(share) => {
            let most = i128::from(owned) * i128::from(share) / 10_000;
            i64::try_from(most).unwrap_or(i64::MAX)
        }
    }
}

/// Why none of the rows goes, where too many would: of all mappings together, or of one that loses many.
pub(super) fn refusal(limit: MaxRejects, seen: &[(&str, Seen)]) -> Option<Failure> {
    let (owned, gone) = seen.iter().fold((0, 0), |(owned, gone), (_, seen)| (owned + seen.owned, gone + seen.gone));
    let is_share = matches!(limit, MaxRejects::Share(_));
    let too_many = |seen: &Seen| is_share && seen.gone >= ENOUGH && seen.gone > most(limit, seen.owned);
    if gone <= most(limit, owned) && !seen.iter().any(|(_, seen)| too_many(seen)) {
        return None;
    }
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

/// Why no more rows go: keys vanish while rows are deleted.
pub(super) fn crossed(limit: MaxRejects, deleted: i64) -> Failure {
    let message = format!(
        "more keys are gone from Redis than were when they were counted, and more than run.delete_gone_limit ({limit}) allows: \
         {deleted} rows were deleted, and no more are"
    );
    Failure::usage(Side::Redis, message, HINT)
}

const HINT: &str = "If Redis was emptied or lost its data, these rows are what is left of it. If the keys were meant to go: \
                    the same command with --resume and a higher --delete-gone-limit, such as 100%.";

#[cfg(test)]
mod tests {
    use super::{most, refusal};
    use crate::config::MaxRejects;
    use crate::job::delete_gone::look::Seen;

    #[test]
    fn a_share_is_of_all_rows_and_of_each_mapping_that_loses_many() {
        let half = MaxRejects::Share(5000);
        let seen = |owned, gone| Seen { owned, gone, ..Seen::default() };
        let refused = |limit, seen: &[(&str, Seen)]| refusal(limit, seen).map(|failure| failure.message);
        assert_eq!((most(half, 5), most(MaxRejects::Unlimited, 5), most(MaxRejects::Count(3), 9)), (2, i64::MAX, 3));
        assert_eq!(refused(half, &[("a", seen(4, 2))]), None);
        let told = refused(half, &[("a", seen(4, 3)), ("b", seen(1, 0))]).unwrap();
        assert!(told.contains("3 of 5 rows") && told.contains("(a 3 of 4)") && told.contains("(50%)"), "{told}");
        // A tenth of all, and nearly all of one.
        assert!(refused(half, &[("a", seen(900, 0)), ("b", seen(101, 100))]).is_some());
        assert_eq!(refused(half, &[("a", seen(900, 0)), ("b", seen(99, 99))]), None);
        assert_eq!(refused(MaxRejects::Count(100), &[("a", seen(900, 0)), ("b", seen(101, 100))]), None);
        assert!(refused(MaxRejects::Count(99), &[("b", seen(101, 100))]).is_some());
        assert_eq!(refused(MaxRejects::Unlimited, &[("b", seen(101, 101))]), None);
        assert_eq!(refused(MaxRejects::Share(10_000), &[("b", seen(101, 101))]), None);
        assert_eq!(refused(half, &[]), None);
    }
}
