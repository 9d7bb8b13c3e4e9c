//! What an error of the Redis side means: try again, or stop, and what to tell a person.

use super::target::Target;
use crate::model::{Failure, Side};
use fred::error::{Error, ErrorKind};
use fred::types::Resp3Frame;
use std::fmt;

/// Beginnings of error replies of a server that will be ready in a moment.
const NOT_READY: [&str; 6] = ["LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "ERR max number of clients"];
/// How a server begins that refuses to run a command.
const REFUSALS: [&str; 11] = [
    "BUSY",
    "CLUSTERDOWN",
    "EXECABORT",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "NOAUTH",
    "NOPERM",
    "NOREPLICAS",
    "OOM",
    "READONLY",
];
/// What EXEC says before the reason why it could not be run.
const ABORTED: &str = "EXECABORT Transaction discarded because of: ";

/// The error in a reply, if it is one. `custom_raw` hands error replies out like any other.
pub(super) fn in_reply(frame: Resp3Frame) -> Result<Resp3Frame, Error> {
    match &frame {
        Resp3Frame::SimpleError { data, .. } => Err(Error::new(ErrorKind::Unknown, data.to_string())),
        Resp3Frame::BlobError { data, .. } => {
            Err(Error::new(ErrorKind::Unknown, String::from_utf8_lossy(data).into_owned()))
        }
        _ => Ok(frame),
    }
}

/// An answer that is not what the command can give.
pub(super) fn unexpected(command: &str, what: &str) -> Error {
    Error::new(ErrorKind::Protocol, format!("{command} was answered with {what}"))
}

/// What a server says, without what EXEC says before it.
fn reason(text: &str) -> &str {
    text.strip_prefix(ABORTED).unwrap_or(text)
}

/// Whether a server that answers says that it will do what it is asked in a moment.
pub(super) fn is_not_ready(error: &Error) -> bool {
    let text = reason(error.details());
    NOT_READY.iter().any(|prefix| text.starts_with(prefix))
        // What a script is told in the place of CLUSTERDOWN.
        || text.contains("while the cluster is down")
}

/// Whether a server says that it is still reading its data from disk.
pub(super) fn is_loading(error: &Error) -> bool {
    reason(error.details()).starts_with("LOADING")
}

/// Whether the server takes no writes, and no PING, since its last save to disk failed.
pub(super) fn is_unsaved(error: &Error) -> bool {
    reason(error.details()).starts_with("MISCONF")
}

/// Whether the server has no memory left for the command.
pub(super) fn is_full(error: &Error) -> bool {
    reason(error.details()).starts_with("OOM")
}

/// Whether the server says that it has not run a command, nor the transaction that it was to end, and why. Of `ERR`, which a proxy may
/// say as well of what it has passed on, that is not known.
pub(super) fn is_refusal(error: &Error) -> bool {
    let code = error.details().split(' ').next().unwrap_or_default();
    *error.kind() == ErrorKind::Unknown && REFUSALS.contains(&code)
}

/// Whether a later attempt can succeed.
pub(super) fn is_transient(error: &Error) -> bool {
    is_not_ready(error)
        || matches!(
            error.kind(),
            ErrorKind::IO | ErrorKind::Timeout | ErrorKind::Canceled | ErrorKind::Backpressure | ErrorKind::Routing
        )
}

/// Whether the server refused the command by its ACL, as opposed to the keys that it was asked for.
pub(super) fn is_command_refused(error: &Error) -> bool {
    reason(error.details()).starts_with("NOPERM") && error.details().contains("permissions to run")
}

/// Whether the server refused a key by its ACL: the user may run the command, on other keys.
pub(super) fn is_key_refused(error: &Error) -> bool {
    error.details().starts_with("NOPERM") && error.details().contains("permissions to access")
}

/// Whether a key was refused to a command within a script.
pub(super) fn is_key_refused_within(error: &Error) -> bool {
    let text = error.details();
    text.contains("can't access at least one of the keys") || text.contains("permissions to access")
}

/// Whether a command that tells of a key, such as XINFO, says that the key is not there.
pub(super) fn is_no_key(error: &Error) -> bool {
    error.details().starts_with("ERR no such key")
}

/// Whether a command says that a stream has no group of this name, or is not there.
pub(super) fn is_no_group(error: &Error) -> bool {
    error.details().starts_with("NOGROUP")
}

/// Whether that is what a failure comes from.
pub(super) fn is_of_refused_key(failure: &Failure) -> bool {
    cause(failure).is_some_and(is_key_refused)
}

/// Whether a node of a cluster answered that the key is another node's, or that it takes no keys of several slots.
pub(super) fn is_redirect(error: &Error) -> bool {
    ["MOVED ", "ASK ", "CROSSSLOT"].iter().any(|sign| error.details().starts_with(sign))
        // What a script is told.
        || error.details().contains("a non local key in a cluster node")
}

/// The error of Redis that a failure comes from, word for word: to judge by, and not to be shown.
pub(super) fn cause(failure: &Failure) -> Option<&Error> {
    failure.source.as_ref().and_then(|cause| cause.downcast_ref::<Cause>()).map(|cause| &cause.error)
}

/// What Redis said, in its own words alone: messages have them already, and need not be told them a second time.
struct Cause {
    /// By which it is judged: without the password, which may be a word of what Redis says, it would be another error.
    error: Error,
    /// What may be shown of it.
    shown: String,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cause").field(self.error.kind()).field(&self.shown).finish()
    }
}

impl std::error::Error for Cause {}

/// The command that a refusal names: within a question that takes several it is not always the first.
fn refused_command(text: &str) -> Option<&str> {
    let (name, _) = text.split_once("permissions to run the '")?.1.split_once('\'')?;
    Some(name)
}

/// Whether the server does not know the command, or the user may not run it.
pub(super) fn is_unavailable(error: &Error) -> bool {
    let text = error.details();
    text.contains("unknown command")
        || text.contains("unknown subcommand")
        || text.contains("Unknown subcommand")
        || text.contains("syntax error")
        || is_command_refused(error)
}

/// What to tell a person about an error that ends the work. `command` is what was asked.
pub(super) fn failure(error: &Error, command: &str, target: &Target) -> Failure {
    // The one is judged, the other shown.
    let (said, text) = (error.details(), target.scrub(error.details()));
    let place = target.place();
    if is_credentials(error) {
        return Failure::usage(
            Side::Redis,
            format!("Redis at {place} refused the credentials: {text}"),
            "Check user and password of the source (source.username, source.password, or those in source.url / --from).",
        );
    }
    if reason(said).starts_with("NOPERM") {
        let command =
            refused_command(said).map_or_else(|| command.to_owned(), |name| name.to_uppercase().replace('|', " "));
        return Failure::usage(
            Side::Redis,
            format!("Redis at {place} does not let this user run {command}: {text}"),
            format!(
                "Grant it with ACL SETUSER (such as +{}), and read access to the keys.",
                command.to_lowercase().replace(' ', "|")
            ),
        );
    }
    if said.contains("DB index is out of range") {
        return Failure::usage(
            Side::Redis,
            format!("Redis at {place} has no database {} (source.database, source.url / --from)", target.database),
            "Redis has 16 databases, 0 to 15, unless its setting `databases` says otherwise.",
        );
    }
    if reason(said).starts_with("READONLY") {
        return Failure::redis(
            format!("Redis at {place} is a replica and takes no writes ({command}): {text}"),
            "Point source.url / --from at its primary.",
        );
    }
    if let Some((why, hint)) = takes_no_writes(reason(said)) {
        return Failure::redis(format!("Redis at {place} {why}: {text}"), hint);
    }
    if is_redirect(error) {
        return Failure::usage(
            Side::Redis,
            format!(
                "Redis at {place} is a node of a Redis Cluster, and holds a part of the keys only: {command} was answered with {text}"
            ),
            "Name the cluster: redis-cluster://host:port, or rediss-cluster:// for TLS (source.url / --from).",
        );
    }
    if is_tls(error) {
        return Failure::redis(
            format!("the TLS handshake with Redis at {place} failed: {text}"),
            "Check that the port speaks TLS, that the certificate names this host, and source.ca_file for a private \
             authority.",
        );
    }
    Failure::redis(format!("Redis at {place} failed at {command}: {text}"), "")
}

/// Why a server refuses what is written for the state that it is in, and what to do.
fn takes_no_writes(said: &str) -> Option<(&'static str, &'static str)> {
    let is = |sign: &str| said.starts_with(sign);
    if is("OOM") {
        let hint = "Raise its maxmemory for the time of the work (CONFIG SET maxmemory …).";
        return Some(("has no memory left (maxmemory)", hint));
    }
    if is("MISCONF") {
        return Some((
            "takes no writes, since its last save to disk failed",
            "See its log and its disk: once BGSAVE works, it takes them again.",
        ));
    }
    if is("NOREPLICAS") {
        let hint = "Wait until they are connected, or lower min-replicas-to-write for the time of the work.";
        return Some(("takes no writes without its replicas", hint));
    }
    None
}

/// What to tell a person whose server could not be reached at the start.
pub(super) fn unreachable(why: &str, target: &Target) -> Failure {
    Failure::redis(
        format!("Redis at {} could not be reached (source.url / --from): {}", target.place(), target.scrub(why)),
        "Check host and port, that the server runs, and that no firewall is in between; rediss:// is for TLS.",
    )
}

/// Whether no further attempt at a connection can succeed: what the server refuses is in the settings.
pub(super) fn is_refused_for_good(error: &Error) -> bool {
    let text = error.details();
    is_credentials(error) || text.starts_with("NOPERM") || text.contains("DB index is out of range")
}

fn is_credentials(error: &Error) -> bool {
    let text = error.details();
    *error.kind() == ErrorKind::Auth
        || text.starts_with("NOAUTH")
        || text.starts_with("WRONGPASS")
        || text.starts_with("ERR invalid password")
        || text.contains("without any password configured")
        || text.contains("no password is set")
}

fn is_tls(error: &Error) -> bool {
    let text = error.details();
    *error.kind() == ErrorKind::Tls
        || ["certificate", "Certificate", "InvalidContentType", "CorruptMessage", "HandshakeFailure", "AlertReceived"]
            .iter()
            .any(|sign| text.contains(sign))
}

/// Whether the first connection failed for a reason that has a clearer message than "could not be reached".
pub(super) fn at_connect(error: &Error, target: &Target) -> Failure {
    let text = error.details();
    if is_refused_for_good(error) || is_tls(error) {
        failure(error, "PING or SELECT", target)
    } else {
        unreachable(plain(text), target)
    }
}

/// What to tell a person whose server has been reached, and who cannot have another of its databases.
pub(super) fn no_database(error: &Error, target: &Target) -> Failure {
    let (said, text) = (error.details(), target.scrub(error.details()));
    let (place, number) = (target.place(), target.database);
    if said.contains("DB index is out of range") {
        return Failure::usage(
            Side::Redis,
            format!("Redis at {place} has no database {number}"),
            "Redis has 16 databases, 0 to 15, unless its setting `databases` says otherwise.",
        );
    }
    if said.starts_with("NOPERM") {
        return Failure::usage(
            Side::Redis,
            format!("Redis at {place} does not let this user select database {number}: {text}"),
            "Grant it with ACL SETUSER … +select, or take the database out of `databases`.",
        );
    }
    // A cluster has one database, and some proxies and services do not know SELECT.
    if said.to_ascii_uppercase().contains("SELECT") || said.contains("unknown command") {
        return Failure::usage(
            Side::Redis,
            format!("Redis at {place} does not select database {number}: {text}"),
            "A Redis Cluster and some proxies have database 0 only: take the others out of `databases`.",
        );
    }
    Failure::redis(
        format!(
            "Redis at {place} answers, and a connection with database {number}, which a mapping reads, failed: {text}"
        ),
        "A proxy that does not know SELECT may close the connection: take the database out of `databases` then.",
    )
}

/// What to tell a person who asks a cluster for another database than the one it has.
pub(super) fn database_of_cluster(number: u8) -> Failure {
    Failure::usage(
        Side::Redis,
        format!("a Redis Cluster has database 0 only, and {number} is asked for"),
        "Take the number out of source.url, source.database or `databases`.",
    )
}

/// The words in an I/O error that the client gives as Rust's debug text, such as
/// `Os { code: 111, kind: ConnectionRefused, message: "Connection refused" }`.
fn plain(text: &str) -> &str {
    let quoted = |label: &str| text.split_once(label)?.1.split_once('"').map(|(words, _)| words);
    quoted("message: \"").or_else(|| quoted("error: \"")).unwrap_or(text)
}

/// The failure that an error ends the work with, with the error as its cause.
pub(super) fn refused(error: &Error, command: &str, target: &Target) -> Failure {
    caused(failure(error, command, target), error, target)
}

/// The failure, with the error as its cause, which shows no secrets.
pub(super) fn caused(failure: Failure, error: &Error, target: &Target) -> Failure {
    failure.because(Cause { error: error.clone(), shown: target.scrub(error.details()) })
}

#[cfg(test)]
mod tests {
    use super::{at_connect, failure, is_of_refused_key, is_refusal, is_transient, is_unavailable, refused};
    use crate::source::redis::settings::SourceSettings;
    use crate::source::redis::target::Target;
    use fred::error::{Error, ErrorKind};

    fn reply(text: &'static str) -> Error {
        Error::new(ErrorKind::Unknown, text)
    }

    fn target() -> Target {
        Target::parse(&SourceSettings::new("redis://u:sesame@h:1/20")).unwrap()
    }

    #[test]
    fn a_server_that_is_not_ready_is_asked_again_and_a_refusal_is_not() {
        for text in [
            "LOADING Redis is loading the dataset in memory",
            "BUSY Redis is busy running a script.",
            "MASTERDOWN Link with MASTER is down",
            "TRYAGAIN Multiple keys request during rehashing of slot",
            "ERR max number of clients reached",
            "ERR Script attempted to execute a command while the cluster is down script: 5bb9, on @user_script:1.",
        ] {
            assert!(is_transient(&reply(text)), "{text}");
        }
        for text in ["NOAUTH Authentication required.", "NOPERM x", "ERR syntax error", "WRONGPASS x"] {
            assert!(!is_transient(&reply(text)), "{text}");
        }
        assert!(is_transient(&Error::new(ErrorKind::IO, "reset")));
    }

    #[test]
    fn a_refusal_says_that_nothing_was_run_and_an_error_of_somebody_between_does_not() {
        let refusals =
            ["OOM command not allowed", "READONLY You can't write", "EXECABORT Transaction discarded", "MISCONF x"];
        for text in refusals.into_iter().chain(["NOPERM x", "NOREPLICAS x", "LOADING x", "CLUSTERDOWN x"]) {
            assert!(is_refusal(&reply(text)), "{text}");
            assert!(!is_refusal(&Error::new(ErrorKind::IO, text)), "not in a reply: {text}");
        }
        for text in ["ERR upstream failure", "BUSYKEY x", "TRYAGAIN x", "OOMX x", ""] {
            assert!(!is_refusal(&reply(text)), "{text}");
        }
    }

    #[test]
    fn failures_name_what_to_mend_and_no_password() {
        let codes = |text| failure(&reply(text), "SCAN", &target());
        assert_eq!(codes("WRONGPASS invalid username-password pair").exit.code(), 2);
        assert_eq!(codes("ERR DB index is out of range").exit.code(), 2);
        assert!(codes("ERR DB index is out of range").message.contains("database 20"));
        let refused = codes("NOPERM User u has no permissions to run the 'scan' command");
        assert!(refused.exit.code() == 2 && refused.message.contains("SCAN"), "{refused}");
        let other = codes("ERR unknown command 'SCAN', with args beginning with: 'sesame'");
        assert!(other.exit.code() == 5 && !other.message.contains("sesame"), "{other}");
        assert!(is_unavailable(&reply("ERR unknown command 'X'")));
    }

    #[test]
    fn a_password_that_is_a_word_of_an_error_makes_no_other_error_of_it() {
        let key = "NOPERM this user has no permissions to access one of the keys used as arguments";
        let command = "NOPERM this user has no permissions to run the 'type' command";
        for password in ["access", "user", "NOPERM", "permissions", "p", "type"] {
            let target = Target::parse(&SourceSettings::new(format!("redis://u:{password}@h"))).unwrap();
            assert!(is_of_refused_key(&refused(&reply(key), "GETRANGE", &target)), "{password}");
            let missing = refused(&reply(command), "WATCH", &target);
            assert!(!is_of_refused_key(&missing) && missing.exit.code() == 2, "{password}: {missing}");
            assert!(missing.message.contains("does not let this user run TYPE:"), "{password}: {missing}");
        }
    }

    #[test]
    fn neither_a_failure_nor_its_cause_shows_the_password() {
        let text = "ERR unknown command 'AUTH', with args beginning with: 'u' 'sesame'";
        let failure = refused(&reply(text), "AUTH", &target());
        let cause = failure.source.as_ref().unwrap();
        let shown = format!("{failure} {failure:?} {cause} {cause:?}");
        assert!(shown.contains("'***'") && !shown.contains("sesame"), "{shown}");
    }

    #[test]
    fn an_unreachable_server_is_a_plain_sentence() {
        for (text, words) in [
            (r#"Os { code: 111, kind: ConnectionRefused, message: "Connection refused" }"#, "Connection refused"),
            (r#"Custom { kind: Uncategorized, error: "no such name" }"#, "no such name"),
            ("Connection reset", "Connection reset"),
        ] {
            let failure = at_connect(&Error::new(ErrorKind::IO, text), &target());
            assert!(failure.message.ends_with(&format!("(source.url / --from): {words}")), "{failure}");
        }
    }
}
