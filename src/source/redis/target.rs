//! The server that the settings name: its address, database and credentials. Secrets are never printed.

use super::address::{Address, Parsed, decode, parse_url, tcp_address, unix_address};
use super::cluster::named::{self, ClusterTarget};
use super::settings::SourceSettings;
use crate::model::{Failure, Side};
use std::fmt;

/// A password of fewer characters is blotted out of texts only where it is a word of its own.
const ANYWHERE: usize = 4;

/// What the settings say about the server: its address, database and credentials.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) address: Address,
    pub(super) database: u8,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    /// The cluster, where that is what is named.
    pub(super) cluster: Option<ClusterTarget>,
    /// Whether it is a node of a cluster.
    pub(super) is_node: bool,
}

/// The server as text without credentials, such as `redis://host:6379/0`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Tcp { tls, .. } if self.cluster.is_some() => {
                write!(f, "{}://{}", if *tls { "rediss-cluster" } else { "redis-cluster" }, self.place())
            }
            Address::Tcp { .. } => write!(f, "{}/{}", self.server(), self.database),
            Address::Unix(_) => write!(f, "{}?db={}", self.server(), self.database),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

impl Target {
    /// Reads the settings.
    pub(super) fn parse(settings: &SourceSettings) -> Result<Self, Failure> {
        let Parsed { url, unix, more } = parse_url(&settings.url)?;
        let username = match url.username() {
            "" => None,
            name => Some(decode(name)?),
        };
        let password = url.password().map(decode).transpose()?;
        let (address, database) = if unix { unix_address(&url)? } else { tcp_address(&url)? };
        let database = settings.database.or(database).unwrap_or(0);
        let cluster = more.map(|more| named::cluster(settings, &address, &more, database)).transpose()?;
        let target = Self {
            address,
            database,
            cluster,
            is_node: false,
            username: settings.username.clone().or(username),
            password: settings.password.clone().or(password).filter(|password| !password.is_empty()),
        };
        if target.username.is_some() && target.password.is_none() {
            return Err(Failure::usage(
                Side::Settings,
                "a Redis user is given without a password (source.username)",
                "Give the password in the URL, in source.password or in its environment variable.",
            ));
        }
        Ok(target)
    }

    /// `host:port`, or the path of the socket.
    pub(super) fn place(&self) -> String {
        self.address.place()
    }

    /// The server as text, without credentials and database.
    pub(super) fn server(&self) -> String {
        match &self.address {
            Address::Tcp { tls, .. } => format!("{}://{}", if *tls { "rediss" } else { "redis" }, self.place()),
            Address::Unix(path) => format!("redis+unix://{}", path.display()),
        }
    }

    /// A node of this cluster, with the cluster's credentials.
    pub(super) fn node(&self, address: Address) -> Self {
        Self { address, cluster: None, is_node: true, ..self.clone() }
    }

    /// What a resumed run must find again: place and database, or the cluster's name. Credentials and TLS don't matter.
    pub(super) fn identity(&self) -> String {
        if let Some(cluster) = &self.cluster {
            return format!("cluster {}/{}", cluster.name, self.database);
        }
        format!("{}/{}", self.place(), self.database)
    }

    /// A text from the server or a library with the password blotted out: some proxies echo the AUTH command. A very short one
    /// is blotted out where it is a word of its own only: what is left of other words would be unreadable, and give it away.
    ///
    /// What it gives is for people: an error is judged by what it says itself.
    pub(super) fn scrub(&self, text: &str) -> String {
        match &self.password {
            None => text.to_owned(),
            Some(password) if password.chars().count() < ANYWHERE => without_word(text, password),
            Some(password) => text.replace(password.as_str(), "***"),
        }
    }
}

/// The text with this blotted out where it is a word of its own.
fn without_word(text: &str, word: &str) -> String {
    let is_part = |next: Option<char>| next.is_some_and(char::is_alphanumeric);
    let (mut rest, mut before, mut out) = (text, None, String::with_capacity(text.len()));
    while let Some((head, tail)) = rest.split_once(word) {
        let inside = is_part(head.chars().next_back().or(before)) || is_part(tail.chars().next());
        out.push_str(head);
        out.push_str(if inside { word } else { "***" });
        (rest, before) = (tail, word.chars().next_back());
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::{Address, SourceSettings, Target};

    fn parse(url: &str) -> Target {
        Target::parse(&SourceSettings::new(url)).unwrap()
    }

    #[test]
    fn urls_are_read_with_their_escapes() {
        let target = parse("redis://us%40er:p%2Fa%3Ass@cache.example:7000/3");
        assert_eq!(target.username.as_deref(), Some("us@er"));
        assert_eq!(target.password.as_deref(), Some("p/a:ss"));
        assert_eq!(target.to_string(), "redis://cache.example:7000/3");
        assert_eq!(target.identity(), "cache.example:7000/3");
        assert_eq!(parse("rediss://h").to_string(), "rediss://h:6379/0");
        assert_eq!(parse("redis://[::1]:6380").place(), "[::1]:6380");
        assert_eq!(parse("redis://:secret@h").password.as_deref(), Some("secret"));
    }

    #[test]
    fn sockets_may_have_credentials_and_a_database() {
        let target = parse("redis+unix://u:p%20w@/run/redis/r.sock?db=2");
        assert_eq!(target.address, Address::Unix("/run/redis/r.sock".into()));
        assert_eq!((target.database, target.password.as_deref()), (2, Some("p w")));
        assert_eq!(parse("redis+unix:///tmp/a.sock").to_string(), "redis+unix:///tmp/a.sock?db=0");
    }

    #[test]
    fn settings_win_over_the_url() {
        let settings = SourceSettings {
            database: Some(9),
            password: Some("other".into()),
            ..SourceSettings::new("redis://u:first@h/1")
        };
        let target = Target::parse(&settings).unwrap();
        assert_eq!((target.database, target.password.as_deref()), (9, Some("other")));
    }

    #[test]
    fn a_database_is_named_or_not() {
        let named = |url: &str| SourceSettings::new(url).named_database();
        assert_eq!((named("redis://h"), named("redis://h/"), named("redis://h/0")), (None, None, Some(0)));
        assert_eq!((named("redis+unix:///s"), named("redis+unix:///s?db=3"), named("x")), (None, Some(3), None));
        let settings = SourceSettings { database: Some(0), ..SourceSettings::new("redis://h/1") };
        assert_eq!(settings.named_database(), Some(0));
    }

    #[test]
    fn what_is_not_understood_is_refused_without_quoting_it() {
        for url in [
            "redis-cluster://u:sesame@h/1",
            "redis-cluster://u:sesame@h,h2?sesame=1",
            "redis-cluster://u:sesame@",
            "redis-sentinel://u:sesame@h",
            "http://u:sesame@h",
            "redis://u:sesame@h/300",
            "redis://u:sesame@h/x",
            "redis://u:ses#ame@h",
            "redis://u:ses/sesame@h",
            "redis://u:sesame%zz@h",
            "redis://u:sesame@h?sesame=1",
            "redis://sesame@h",
            "redis+unix://u:sesame@/",
            "sesame",
            "redis://",
        ] {
            let failure = Target::parse(&SourceSettings::new(url)).unwrap_err();
            assert_eq!(failure.exit.code(), 2, "{url}");
            let shown = format!("{failure} {failure:?} {}", failure.hint);
            assert!(!shown.contains("sesame"), "{url}: {shown}");
        }
    }

    #[test]
    fn a_very_short_password_is_blotted_out_as_a_word_alone() {
        for (password, text, shown) in [
            ("p", "no permissions to run 'type'; 'AUTH' 'u' 'p'", "no permissions to run 'type'; 'AUTH' 'u' '***'"),
            ("p", "pp p", "pp ***"),
            ("a:", "aa: a:", "aa: ***"),
            ("\u{e9}", "\u{e9}t\u{e9} \u{e9}", "\u{e9}t\u{e9} ***"),
            ("ses", "a ses of sesame", "a *** of sesame"),
            ("sesa", "sesame", "***me"),
        ] {
            let settings = SourceSettings { password: Some(password.into()), ..SourceSettings::new("redis://h") };
            assert_eq!(Target::parse(&settings).unwrap().scrub(text), shown, "{password}");
        }
    }

    #[test]
    fn debug_and_scrub_hide_the_password() {
        let settings =
            SourceSettings { password: Some("sesame".into()), ..SourceSettings::new("redis://u:open@h:1/2") };
        let shown = format!("{settings:?}");
        assert!(shown.contains("redis://h:1/2") && !shown.contains("sesame") && !shown.contains("open"), "{shown}");
        let target = Target::parse(&settings).unwrap();
        assert_eq!(target.scrub("args beginning with: 'sesame'"), "args beginning with: '***'");
        assert!(!format!("{target:?}").contains("sesame"));
    }
}
