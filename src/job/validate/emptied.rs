//! Whether Redis, or a database of it, seems to have been emptied: so many rows' keys are gone that a run would delete none of them.

use super::state::AskedOf;
use crate::config::DeleteLimit;
use crate::job::delete_gone;
use crate::model::MappingId;
use std::collections::BTreeMap;

/// What is not to be overlooked of the keys that are gone: of all databases together, and of each where there are several. One that was
/// emptied may hold too little for the whole to tell.
pub(super) fn warnings(limit: DeleteLimit, asked: &AskedOf) -> Vec<String> {
    let by_mapping = sums(asked, |(mapping, _)| *mapping);
    let by_database = sums(asked, |(_, database)| *database);
    let mut warnings = Vec::new();
    if !delete_gone::allows(limit, &by_mapping.into_values().collect::<Vec<_>>()) {
        let (rows, extra) = by_database.values().fold((0, 0), |sum, more| (sum.0 + more.0, sum.1 + more.1));
        warnings.push(said(limit, (rows, extra), "Redis", "Redis"));
    }
    let several = by_database.len() > 1;
    let emptied: BTreeMap<u8, (i64, i64)> = by_database
        .iter()
        .filter(|(_, seen)| delete_gone::is_emptied(limit, **seen))
        .map(|(of, seen)| (*of, *seen))
        .collect();
    // Where all of them are, one warning has said so.
    if several && (warnings.is_empty() || emptied.len() < by_database.len()) {
        warnings.extend(emptied.iter().map(|(number, seen)| {
            let database = format!("database {number}");
            said(limit, *seen, &format!("{database} of Redis"), &database)
        }));
    }
    warnings
}

fn said(limit: DeleteLimit, (rows, extra): (i64, i64), place: &str, what: &str) -> String {
    format!(
        "the keys of {extra} of {rows} rows of this tool are gone from {place}, more than run.delete_gone_limit ({limit}) would let a \
         run delete: was {what} emptied, or is it another one? Without --strict such rows let a validation pass"
    )
}

fn sums<K: Ord>(asked: &AskedOf, of: impl Fn(&(MappingId, u8)) -> K) -> BTreeMap<K, (i64, i64)> {
    let mut sums = BTreeMap::<K, (i64, i64)>::new();
    for (place, (rows, extra)) in asked {
        let sum = sums.entry(of(place)).or_default();
        *sum = (sum.0 + rows, sum.1 + extra);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::warnings;
    use crate::config::DeleteLimit;
    use crate::model::MappingId;

    fn told(limit: DeleteLimit, asked: &[(u16, u8, i64, i64)]) -> Vec<String> {
        let asked =
            asked.iter().map(|(mapping, database, rows, extra)| ((MappingId(*mapping), *database), (*rows, *extra)));
        let short = |text: String| text.split(", more than").next().unwrap_or_default().to_owned();
        warnings(limit, &asked.collect()).into_iter().map(short).collect()
    }

    #[test]
    fn one_database_that_was_emptied_is_told_of_whatever_the_others_hold() {
        let half = DeleteLimit::Share(5000);
        let of = |counts: &str, place: &str| format!("the keys of {counts} rows of this tool are gone from {place}");
        assert_eq!(told(half, &[(0, 0, 900, 1), (0, 2, 4, 4)]), [of("4 of 4", "database 2 of Redis")]);
        assert_eq!(told(half, &[(0, 0, 900, 1), (0, 2, 4, 2)]), Vec::<String>::new());
        // Of several mappings together.
        assert_eq!(told(half, &[(0, 0, 9, 0), (0, 2, 1, 1), (1, 2, 2, 1)]), [of("2 of 3", "database 2 of Redis")]);
        assert_eq!(told(half, &[(0, 0, 3, 3)]), [of("3 of 3", "Redis")]);
        assert_eq!(told(half, &[(0, 0, 3, 3), (0, 2, 4, 4)]), [of("7 of 7", "Redis")]);
        assert_eq!(
            told(half, &[(0, 0, 3, 0), (0, 2, 4, 4)]),
            [of("4 of 7", "Redis"), of("4 of 4", "database 2 of Redis")]
        );
        assert_eq!(told(DeleteLimit::Share(10_000), &[(0, 0, 3, 0), (0, 2, 4, 4)]), Vec::<String>::new());
        // A number is of all together.
        assert_eq!(told(DeleteLimit::Rows(4), &[(0, 0, 3, 0), (0, 2, 4, 4)]), Vec::<String>::new());
    }
}
