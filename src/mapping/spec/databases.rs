//! `databases` as it is written: which logical databases a mapping's keys come from.

use crate::mapping::MappingSpec;
use serde::de::{Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// The logical databases that a mapping reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Databases {
    /// The source's own: the one of its URL.
    #[default]
    Own,
    /// All that hold keys when the run begins, and the source's own.
    All,
    /// These, in ascending order; at least one.
    These(Vec<u8>),
}

impl Databases {
    /// Whether nothing is said about them.
    pub(super) fn is_own(&self) -> bool {
        *self == Self::Own
    }

    /// Whether a database is among them; `own` is the source's.
    pub fn has(&self, number: u8, own: u8) -> bool {
        match self {
            Self::Own => number == own,
            Self::All => true,
            Self::These(numbers) => numbers.contains(&number),
        }
    }

    /// Whether some database is among both.
    pub(in crate::mapping) fn meet(&self, other: &Self, own: u8) -> bool {
        match self {
            Self::Own => other.has(own, own),
            Self::All => true,
            Self::These(numbers) => numbers.iter().any(|number| other.has(*number, own)),
        }
    }

    /// The databases of both.
    fn and(self, other: &Self, own: u8) -> Self {
        let numbers = |one: &Self| match one {
            Self::Own => vec![own],
            Self::All => Vec::new(),
            Self::These(numbers) => numbers.clone(),
        };
        match (&self, other) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (Self::Own, Self::Own) => Self::Own,
            _ => {
                let mut all = [numbers(&self), numbers(other)].concat();
                all.sort_unstable();
                all.dedup();
                Self::These(all)
            }
        }
    }

    /// All that some mapping reads.
    pub(in crate::mapping) fn of_all(specs: &[MappingSpec], own: u8) -> Self {
        let (first, others) = match specs.split_first() {
            Some((first, others)) => (first.databases.clone(), others),
            None => return Self::Own,
        };
        others.iter().fold(first, |all, spec| all.and(&spec.databases, own))
    }

    /// Whether there are any beside the source's own.
    pub(in crate::mapping) fn go_beyond(&self, own: u8) -> bool {
        match self {
            Self::Own => false,
            Self::All => true,
            Self::These(numbers) => numbers.iter().any(|number| *number != own),
        }
    }

    /// Whether there may be more than one.
    pub(in crate::mapping) fn are_several(&self) -> bool {
        match self {
            Self::Own => false,
            Self::All => true,
            Self::These(numbers) => numbers.len() > 1,
        }
    }
}

impl Serialize for Databases {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Own => serializer.serialize_none(),
            Self::All => serializer.serialize_str("all"),
            Self::These(numbers) => numbers.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Databases {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AllOrThese)
    }
}

struct AllOrThese;

impl<'de> Visitor<'de> for AllOrThese {
    type Value = Databases;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of a database, a list of them or \"all\" for `databases`")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Databases, E> {
        match word {
            "all" => Ok(Databases::All),
            other => Err(E::invalid_value(Unexpected::Str(other), &self)),
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Databases, E> {
        Ok(Databases::These(vec![in_range(number)?]))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Databases, E> {
        self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Databases, A::Error> {
        let mut numbers = Vec::new();
        while let Some(number) = list.next_element::<i64>()? {
            let number = in_range(number)?;
            if numbers.contains(&number) {
                return Err(A::Error::custom(format!("`databases` names {number} twice")));
            }
            numbers.push(number);
        }
        if numbers.is_empty() {
            return Err(A::Error::custom("`databases` names none; leave it out for the database of the source's URL"));
        }
        numbers.sort_unstable();
        Ok(Databases::These(numbers))
    }
}

fn in_range<E: Error>(number: i64) -> Result<u8, E> {
    u8::try_from(number).map_err(|_| E::custom(format!("`databases`: {number} is no number from 0 to 255")))
}

#[cfg(test)]
mod tests {
    use crate::mapping::Databases;

    fn read(text: &str) -> Result<Databases, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn they_are_numbers_or_all_of_them() {
        assert_eq!(read("[2, 0]"), Ok(Databases::These(vec![0, 2])));
        assert_eq!(read("3"), Ok(Databases::These(vec![3])));
        assert_eq!(read("\"all\""), Ok(Databases::All));
        assert_eq!(serde_json::to_string(&Databases::These(vec![0, 2])).ok().as_deref(), Some("[0,2]"));
        for (text, why) in [
            ("[]", "names none"),
            ("[-1]", "-1 is no number from 0 to 255"),
            ("[256]", "256 is no number"),
            ("[1, 1]", "names 1 twice"),
            ("256", "256 is no number"),
            ("\"some\"", "a number of a database, a list of them or \"all\""),
            ("true", "a number of a database, a list of them or \"all\""),
            ("[\"1\"]", "invalid type"),
        ] {
            assert!(read(text).is_err_and(|said| said.contains(why)), "{text}: {:?}", read(text));
        }
    }

    #[test]
    fn the_sources_own_is_one_of_them_by_its_number() {
        let these = |numbers: &[u8]| Databases::These(numbers.to_vec());
        assert!(Databases::Own.meet(&these(&[1, 3]), 3) && these(&[1, 3]).meet(&Databases::Own, 3));
        assert!(!Databases::Own.meet(&these(&[1, 3]), 0) && !these(&[1]).meet(&these(&[2]), 0));
        assert!(Databases::All.meet(&Databases::Own, 7) && these(&[1]).meet(&Databases::All, 7));
        assert_eq!(Databases::Own.and(&these(&[1, 3]), 2), these(&[1, 2, 3]));
        assert_eq!(Databases::Own.and(&Databases::Own, 2), Databases::Own);
    }
}
