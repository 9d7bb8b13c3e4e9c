//! The named functions over text. Each gives a text, or nothing, which passes on to the next candidate.

use super::Function;
use crate::encode::parse_uuid;
use std::borrow::Cow;
use uuid::Uuid;

/// The namespace of the UUIDv5 that stands for an id which is no UUID: the standard namespace for object identifiers,
/// so that `uuid_generate_v5(uuid_ns_oid(), id)` gives the same in PostgreSQL.
pub const ID_NAMESPACE: Uuid = Uuid::NAMESPACE_OID;

impl Function {
    /// Applies the function.
    pub(super) fn apply(self, text: Cow<'_, str>) -> Option<Cow<'_, str>> {
        match self {
            Self::Basename => piece(text, basename),
            Self::Extension => piece(text, extension).map(lower),
            Self::MimeType => mime_type(&text).map(Cow::Borrowed),
            Self::UuidOrUuid5 if text.is_empty() => None,
            Self::UuidOrUuid5 if parse_uuid(&text).is_some() => Some(text),
            Self::UuidOrUuid5 => Some(Cow::Owned(Uuid::new_v5(&ID_NAMESPACE, text.as_bytes()).to_string())),
            Self::Lower => Some(lower(text)),
            Self::Upper => Some(Cow::Owned(text.to_uppercase())),
            Self::Trim => piece(text, |text| Some(text.trim())),
        }
    }
}

/// Lower case, without a copy where it is that already.
fn lower(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return text;
    }
    Cow::Owned(text.to_lowercase())
}

/// A piece of a text, without a copy where the text is borrowed.
fn piece(text: Cow<'_, str>, cut: impl Fn(&str) -> Option<&str>) -> Option<Cow<'_, str>> {
    match text {
        Cow::Borrowed(text) => cut(text).map(Cow::Borrowed),
        Cow::Owned(text) => cut(&text).map(|piece| Cow::Owned(piece.to_owned())),
    }
}

fn basename(path: &str) -> Option<&str> {
    let start = memchr::memrchr2(b'/', b'\\', path.as_bytes()).map_or(0, |separator| separator + 1);
    path.get(start..).filter(|name| !name.is_empty())
}

/// The extension with its dot; a leading dot makes a hidden file, not an extension.
fn extension(path: &str) -> Option<&str> {
    let name = basename(path)?;
    let start = name.len() - name.trim_start_matches('.').len();
    let dot = name.get(start..)?.rfind('.')? + start;
    name.get(dot..).filter(|extension| extension.len() > 1)
}

fn mime_type(path: &str) -> Option<&'static str> {
    let extension = match path.strip_prefix('.') {
        Some(bare) if !bare.contains(['.', '/', '\\']) => bare,
        _ => extension(path)?.strip_prefix('.')?,
    };
    mime_guess::from_ext(extension).first_raw()
}

#[cfg(test)]
mod tests {
    use super::Function::{Basename, Extension, MimeType, UuidOrUuid5};
    use super::{Function, ID_NAMESPACE};
    use std::borrow::Cow;
    use uuid::Uuid;

    fn apply(function: Function, text: &str) -> Option<String> {
        function.apply(Cow::Borrowed(text)).map(Cow::into_owned)
    }

    #[test]
    fn names_and_extensions_of_paths() {
        for (path, name, extension) in [
            ("/data/up/Contract.PDF", Some("Contract.PDF"), Some(".pdf")),
            (r"C:\docs\a.b.Docx", Some("a.b.Docx"), Some(".docx")),
            ("README", Some("README"), None),
            (".pdf", Some(".pdf"), None),
            ("x/", None, None),
            ("a.", Some("a."), None),
            ("", None, None),
        ] {
            assert_eq!(apply(Basename, path).as_deref(), name, "{path}");
            assert_eq!(apply(Extension, path).as_deref(), extension, "{path}");
        }
    }

    #[test]
    fn mime_types_by_extension() {
        assert_eq!(apply(MimeType, "x/a.PDF").as_deref(), Some("application/pdf"));
        assert_eq!(apply(MimeType, ".txt").as_deref(), Some("text/plain"));
        assert_eq!(apply(MimeType, ".doc").as_deref(), Some("application/msword"));
        assert_eq!(apply(MimeType, "a.nosuch"), None);
        assert_eq!(apply(MimeType, "README"), None);
    }

    #[test]
    fn an_id_stays_itself_or_becomes_the_same_uuid_every_time() {
        let id = "01234567-89AB-4DEF-8012-3456789ABCDE";
        assert_eq!(apply(UuidOrUuid5, id).as_deref(), Some(id));
        let derived = Uuid::new_v5(&ID_NAMESPACE, b"doc 7").to_string();
        assert_eq!(apply(UuidOrUuid5, "doc 7"), Some(derived));
        assert_eq!(apply(UuidOrUuid5, ""), None);
    }
}
