//! The columns in which the rows of a key differ, where that is all that is wrong with them: whoever does not mind these columns would have
//! the key equal. Pure.

use super::met::{Judged, Met};
use crate::model::Class;
use std::collections::BTreeSet;

/// Such columns, by name, as long as nothing else is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Differing {
    columns: BTreeSet<String>,
    /// Whether something else is wrong with some row, or there is none.
    beyond: bool,
}

impl Differing {
    /// Takes in what a row is found to be: `columns` differ in it.
    pub(super) fn note(&mut self, judged: &Judged, met: Option<&Met>, columns: &[String]) {
        let differs = matches!(judged.class, Class::Newer | Class::Stale | Class::Different) && !columns.is_empty();
        match judged.class {
            Class::Equal => {}
            _ if differs && met.is_some_and(|met| met.orphan.is_none()) => self.columns.extend(columns.iter().cloned()),
            _ => self.beyond = true,
        }
    }

    /// Notes that something else is wrong.
    pub(super) fn spoil(&mut self) {
        self.beyond = true;
    }

    /// The columns; none where that is not all.
    pub(super) fn columns(self) -> Vec<String> {
        if self.beyond { Vec::new() } else { self.columns.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::Differing;
    use crate::model::Class;
    use crate::sink::compare::met::{Judged, Met};

    fn of(rows: &[(Class, &[&str])], orphan: Option<usize>) -> Vec<String> {
        let mut differing = Differing::default();
        for (class, columns) in rows {
            let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
            differing.note(&Judged::of(*class), Some(&Met { orphan, ..Met::default() }), &columns);
        }
        differing.columns()
    }

    #[test]
    fn the_columns_of_all_rows_are_told_as_long_as_nothing_else_is_wrong() {
        let two: &[(Class, &[&str])] = &[(Class::Equal, &[]), (Class::Stale, &["b"]), (Class::Newer, &["a", "b"])];
        assert_eq!(of(two, None), ["a", "b"]);
        assert_eq!(of(two, Some(0)), [""; 0]);
        assert_eq!(of(&[two, &[(Class::Missing, &[])]].concat(), None), [""; 0]);
        let mut spoiled = Differing::default();
        spoiled.spoil();
        assert_eq!((spoiled.columns(), of(&[], None)), (Vec::new(), Vec::new()));
    }
}
