//! What an error reply says to a command that writes: of the key alone, of the server, or that it goes another way.

use super::super::RedisSource;
use super::super::errors::{is_command_refused, is_key_refused, refused};
use crate::model::{Exit, Failure, RestoreFault, Side};
use fred::error::Error;

/// What is to be done about a key that a command was refused for.
pub(super) enum Verdict {
    /// There is such a key by now, or what was built is gone: it is looked at anew.
    Again,
    /// Its dump is not taken here.
    NoDump(String),
    /// No dump is taken at all: the server does not know RESTORE, or the user may not run it.
    NoDumps,
    /// It cannot be restored.
    Fault(RestoreFault, String),
    /// Nothing can be.
    End(Failure),
}

impl RedisSource {
    /// What an error says that `command` was answered with, or a transaction that begins with it.
    pub(super) fn judge(&self, error: &Error, command: &str) -> Verdict {
        // What follows is the beginning of the arguments, and so of the value.
        let said = error.details().split(", with args beginning").next().unwrap_or_default();
        // The one is judged, the other shown.
        let text = self.inner.target.scrub(said);
        let unknown = said.contains("unknown command");
        let starts = |signs: &[&str]| signs.iter().any(|sign| said.starts_with(sign));
        if starts(&["BUSYKEY"]) || said.contains("no such key") || said.contains("requires the key to exist") {
            return Verdict::Again;
        }
        if is_key_refused(error) {
            return Verdict::Fault(RestoreFault::Forbidden, String::new());
        }
        if command == "RESTORE" && (unknown || is_command_refused(error)) {
            return Verdict::NoDumps;
        }
        if said.contains("Bad data format") || said.contains("DUMP payload version or checksum") {
            return Verdict::NoDump(text);
        }
        if unknown && said.to_ascii_uppercase().contains("HPEXPIREAT") {
            return Verdict::Fault(RestoreFault::FieldExpiry, String::new());
        }
        if unknown && said.to_ascii_uppercase().contains("JSON.SET") {
            return Verdict::Fault(RestoreFault::ModuleType, text);
        }
        if starts(&["OOM"]) {
            return Verdict::End(self.no_memory(&text));
        }
        // Of the server or the user as a whole; anything else is about this value.
        let general =
            ["READONLY", "MISCONF", "NOREPLICAS", "NOPERM", "NOAUTH", "WRONGPASS", "MOVED", "ASK ", "CROSSSLOT"];
        if unknown || starts(&general) {
            return Verdict::End(self.written_to(refused(error, command, &self.inner.target)));
        }
        Verdict::Fault(RestoreFault::Refused, text)
    }

    fn no_memory(&self, text: &str) -> Failure {
        Failure::redis(
            format!("Redis at {} has no memory left: {text}", self.inner.target.place()),
            "Raise its maxmemory, or make room; then run the same command again: what is there already counts as equal.",
        )
    }

    /// A failure that says what the way to write is.
    fn written_to(&self, failure: Failure) -> Failure {
        if failure.exit != Exit::Usage || failure.side != Side::Redis {
            return failure;
        }
        let hint = format!("{} The rights that a restore takes are in docs/restore.md.", failure.hint.trim());
        Failure { hint: hint.trim().to_owned(), ..failure }
    }
}
