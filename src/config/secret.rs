//! What must never be printed, and the scrubbing of text that might hold it. Pure; uses nothing but `std`.

use std::borrow::Cow;
use std::fmt;

/// What stands where a secret was.
const MASK: &str = "***";

/// A password. Debug and Display print `***`; only [`Secret::expose`] gives it away.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a password.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The password itself, for the connection and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// A URL that may hold a password. Debug and Display print it with `***` in the password's place.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// Wraps a URL.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The URL with its password, for the connection and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The scheme, such as `redis`; empty where there is none.
    pub fn scheme(&self) -> &str {
        self.0.split_once("://").map_or("", |(scheme, _)| scheme)
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_once("://") {
            Some((scheme, rest)) => write!(f, "{scheme}://{}", hide(scheme, rest)),
            // Without a scheme it is no URL: perhaps a password pasted in the wrong place.
            None => f.write_str(MASK),
        }
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The text with the password of every URL in it replaced, for messages that quote what others said.
pub fn scrub(text: &str) -> Cow<'_, str> {
    if !text.contains("://") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = (&rest[..at], &rest[at + 3..]);
        // Quotes do not end it: a password may hold them.
        let end = after.find(char::is_whitespace).unwrap_or(after.len());
        let scheme = before.rsplit(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c)).next().unwrap_or("");
        out.push_str(before);
        out.push_str("://");
        out.push_str(&hide(scheme, &after[..end]));
        rest = &after[end..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// What follows `://`, with passwords hidden. When in doubt it hides too much: a password may hold `/`, `?` and `@`.
fn hide(scheme: &str, rest: &str) -> String {
    let (user, tail) = rest.rsplit_once('@').map_or((None, rest), |(user, tail)| (Some(user), tail));
    let mut out = String::new();
    if let Some(user) = user {
        match user.split_once(':') {
            Some((name, _)) => out.push_str(&format!("{name}:{MASK}@")),
            // `redis://secret@host` is a common slip for `redis://:secret@host`.
            None if scheme.starts_with("redis") => out.push_str(&format!("{MASK}@")),
            // `user@host/?password=p@ss`: the last `@` is not the one behind the user.
            None if user.contains('?') => out.push_str(&format!("{MASK}@")),
            None => out.push_str(&format!("{user}@")),
        }
    }
    let (path, query) = tail.split_once('?').map_or((tail, None), |(path, query)| (path, Some(query)));
    out.push_str(path);
    for (i, pair) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        out.push(if i == 0 { '?' } else { '&' });
        match pair.split_once('=') {
            Some((name, _)) if is_secret_name(name) => out.push_str(&format!("{name}={MASK}")),
            _ => out.push_str(pair),
        }
    }
    out
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "secret", "token"].iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::{Secret, SecretUrl, scrub};

    #[test]
    fn no_form_of_url_shows_its_password() {
        for (url, shown) in [
            ("redis://:hunter2@host:6379/0", "redis://:***@host:6379/0"),
            ("redis://hunter2@host", "redis://***@host"),
            ("postgres://me:hunter2@host/db?sslmode=require", "postgres://me:***@host/db?sslmode=require"),
            ("postgres://me:hun/ter2@x?hunter2@host/db", "postgres://me:***@host/db"),
            ("postgres:///db?user=me&password=hunter2", "postgres:///db?user=me&password=***"),
            ("postgres://me@host/db?password=hunter2@x", "postgres://***@x"),
            ("redis-sentinel://h1,h2/0?sentinelPassword=hunter2", "redis-sentinel://h1,h2/0?sentinelPassword=***"),
            ("postgres://me@host/db", "postgres://me@host/db"),
            ("hunter2", "***"),
        ] {
            let secret = SecretUrl::new(url);
            assert_eq!(secret.to_string(), shown);
            assert_eq!(format!("{secret:?}"), shown);
            assert_eq!(secret.expose(), url);
        }
        assert_eq!(format!("{0} {0:?}", Secret::new("hunter2")), "*** ***");
    }

    #[test]
    fn scrubbing_finds_urls_inside_a_sentence() {
        let text = "unexpected argument 'redis://u:hunter2@h' found, and \"postgres://a:hunter2@b/c\" too";
        assert_eq!(scrub(text), "unexpected argument 'redis://u:***@h' found, and \"postgres://a:***@b/c\" too");
        assert_eq!(scrub("argument 'redis://u:hun'ter2@h' found"), "argument 'redis://u:***@h' found");
        assert_eq!(scrub("nothing here"), "nothing here");
    }
}
