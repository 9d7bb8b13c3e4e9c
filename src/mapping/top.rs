//! What the top of a record's value must be: what the paths of its mapping begin with.

use crate::decode::{DecodeError, JsonPath, Kind};

/// The JSON types that a mapping enters at the top. Paths that begin with a key enter an object, those that begin with
/// an index an array; a mapping with both takes either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Top {
    object: bool,
    array: bool,
}

impl Top {
    /// An object is entered.
    pub(super) const OBJECT: Self = Self { object: true, array: false };

    /// What a path enters.
    pub(super) fn of(path: &JsonPath) -> Self {
        Self { object: path.first_key().is_some(), array: path.begins_with_index() }
    }

    /// What both enter.
    pub(super) fn and(self, other: Self) -> Self {
        Self { object: self.object || other.object, array: self.array || other.array }
    }

    /// Whether a value of that kind can be entered.
    ///
    /// # Errors
    /// `json_not_object (…)` or `json_not_array (…)`, where all that is entered is of another kind.
    pub(super) fn check(self, kind: Kind) -> Result<(), DecodeError> {
        let (name, wanted) = match self {
            Self { object: false, array: false } => return Ok(()),
            Self { object: true, .. } if kind == Kind::Object => return Ok(()),
            Self { array: true, .. } if kind == Kind::Array => return Ok(()),
            Self { object: true, array: false } => ("json_not_object", "fields of an object"),
            Self { object: false, array: true } => ("json_not_array", "elements of an array"),
            Self { object: true, array: true } => ("json_not_object", "fields of an object or elements of an array"),
        };
        let kind = kind.name();
        let detail = format!("the mapping reads {wanted}, and the value is JSON ({kind})");
        Err(DecodeError::new(format!("{name} ({kind})"), detail))
    }
}

#[cfg(test)]
mod tests {
    use super::Top;
    use crate::decode::{JsonPath, Kind};

    #[test]
    fn a_value_is_refused_where_no_path_can_enter_it() {
        let top = |paths: &[&str]| {
            paths.iter().map(|path| Top::of(&JsonPath::parse(path).unwrap())).fold(Top::default(), Top::and)
        };
        let reason = |top: Top, kind| top.check(kind).err().map(|error| error.reason.into_owned());
        for kind in [Kind::Object, Kind::Array, Kind::String, Kind::Number, Kind::Bool, Kind::Null] {
            assert_eq!(reason(top(&["$"]), kind), None);
        }
        assert_eq!(reason(top(&["$", "$.a[0]"]), Kind::Object), None);
        assert_eq!(reason(top(&["$", "$.a[0]"]), Kind::Array).as_deref(), Some("json_not_object (array)"));
        assert_eq!(reason(top(&["$[0].a"]), Kind::Array), None);
        assert_eq!(reason(top(&["$[0].a"]), Kind::Object).as_deref(), Some("json_not_array (object)"));
        let either = top(&["$.a", "$[0].a"]);
        assert_eq!((reason(either, Kind::Object), reason(either, Kind::Array)), (None, None));
        assert_eq!(reason(either, Kind::Null).as_deref(), Some("json_not_object (null)"));
    }
}
