//! Functions over paths of files, with `/` or `\` between their parts.

/// The last part; nothing where it is empty.
pub(super) fn basename(path: &str) -> Option<&str> {
    let start = separator(path).map_or(0, |separator| separator + 1);
    path.get(start..).filter(|name| !name.is_empty())
}

/// What is before the last part, without the separator (but `/` for what is at the root); nothing where there is no
/// separator.
pub(super) fn dirname(path: &str) -> Option<&str> {
    path.get(..separator(path)?.max(1))
}

/// The extension with its dot; a leading dot makes a hidden file, not an extension.
pub(super) fn extension(path: &str) -> Option<&str> {
    let name = basename(path)?;
    let start = name.len() - name.trim_start_matches('.').len();
    let dot = name.get(start..)?.rfind('.')? + start;
    name.get(dot..).filter(|extension| extension.len() > 1)
}

/// The MIME type of a path's extension, or of an extension such as `.pdf`; nothing where it is unknown.
pub(super) fn mime_type(path: &str) -> Option<&'static str> {
    let extension = match path.strip_prefix('.') {
        Some(bare) if !bare.contains(['.', '/', '\\']) => bare,
        _ => extension(path)?.strip_prefix('.')?,
    };
    mime_guess::from_ext(extension).first_raw()
}

fn separator(path: &str) -> Option<usize> {
    memchr::memrchr2(b'/', b'\\', path.as_bytes())
}
