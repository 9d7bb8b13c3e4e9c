//! A stream that is made again by commands: entries, ids, groups, consumers, and what is pending with them.
//!
//! Redis takes an entry for pending only while the stream has it. An entry that is pending and was deleted since is added
//! without its content, claimed, and deleted again.

use super::awaited::{Awaited, Id, number_of};
use super::line::Command;
use crate::backup::{Part, StreamFacts, StreamGroup};
use crate::model::Items;
use bytes::Bytes;
use fred::types::Value;
use std::collections::{BTreeSet, VecDeque};

/// The id that no entry has.
const NONE: &str = "0-0";

/// Entries that are added only to be pending, at most: their commands are in memory all at once.
const STAND_INS: usize = 100_000;

/// What is known of a stream while it is built.
#[derive(Debug, Default)]
pub(super) struct StreamBuild {
    /// The server's release, where it tells.
    release: Option<(u64, u64)>,
    /// The groups that were made.
    made: BTreeSet<Bytes>,
    /// The stream's last id, and how many entries were ever added to it, until the server was told.
    added: Option<(String, u64)>,
    /// Entries that were added so far.
    length: u64,
    /// What is pending behind the entries so far.
    awaited: VecDeque<Id>,
    /// Entries that are there only to be pending.
    stand_ins: Vec<Id>,
    /// The first of the stream's own entries.
    first: Option<String>,
    /// Whether one that stands in is behind that one.
    behind: bool,
    /// Entries that were to be pending, and that a consumer could not be given.
    lost: u64,
}

impl StreamBuild {
    /// For a server of this release.
    pub(super) fn new(release: Option<(u64, u64)>, awaited: Awaited) -> Self {
        let added = awaited.facts.as_ref().and_then(|facts| Some((facts.last_id.clone(), facts.entries_added?)));
        Self { release, added, awaited: awaited.finish(), ..Self::default() }
    }

    /// What a part of a stream takes.
    pub(super) fn commands(
        &mut self,
        name: &Value,
        (entries, facts, groups): (&Bytes, Option<&StreamFacts>, &[StreamGroup]),
        part: Part,
    ) -> Vec<Command> {
        let mut commands = Vec::new();
        let mut items = Items::of(entries);
        if part.is_first() && entries.is_empty() {
            // A stream without an entry comes with a group only.
            let made = [name.clone(), "redis2pg".into(), NONE.into(), "MKSTREAM".into()];
            commands.push(Command::new("XGROUP", std::iter::once("CREATE".into()).chain(made)));
            commands.push(Command::new("XGROUP", ["DESTROY".into(), name.clone(), "redis2pg".into()]));
        }
        while let (Some(id), Some(count)) = (items.next(), items.next()) {
            let count = std::str::from_utf8(count).ok().and_then(|count| count.parse::<usize>().ok()).unwrap_or(0);
            self.stand_in(name, number_of(&String::from_utf8_lossy(id)), &mut commands);
            self.first.get_or_insert_with(|| String::from_utf8_lossy(id).into_owned());
            let mut args = vec![name.clone(), Value::Bytes(entries.slice_ref(id))];
            args.extend(items.by_ref().take(2 * count).map(|part| Value::Bytes(entries.slice_ref(part))));
            commands.push(Command::new("XADD", args));
            self.length += 1;
        }
        if !groups.is_empty() || part.last {
            // No entry comes any more.
            self.stand_in(name, None, &mut commands);
        }
        groups.iter().for_each(|group| self.group(name, group, &mut commands));
        if part.last {
            self.end(name, facts, &mut commands);
        }
        commands
    }

    /// Adds what stands in for pending entries that are gone, in front of the entry with this id; `None`: of all that are left.
    fn stand_in(&mut self, name: &Value, before: Option<Id>, commands: &mut Vec<Command>) {
        while let Some(id) = self.awaited.pop_front_if(|id| before.is_none_or(|before| *id <= before)) {
            if before == Some(id) || self.stand_ins.len() == STAND_INS {
                continue;
            }
            let args = [name.clone(), text_of(id).into(), "".into(), "".into()];
            commands.push(Command::new("XADD", args));
            self.length += 1;
            self.stand_ins.push(id);
            self.behind |= self.first.is_some();
        }
    }

    fn group(&mut self, name: &Value, group: &StreamGroup, commands: &mut Vec<Command>) {
        let group_name = Value::Bytes(group.name.clone());
        // A copy: the name is a slice of its block, and would keep all of that.
        if !self.made.contains(&group.name) && self.made.insert(Bytes::copy_from_slice(&group.name)) {
            self.tell_added(name, group, commands);
            let mut args = vec!["CREATE".into(), name.clone(), group_name.clone(), group.last_id.as_str().into()];
            if let Some(read) = group.entries_read.filter(|_| self.is_from(7, 0)) {
                args.extend(["ENTRIESREAD".into(), read.to_string().into()]);
            }
            commands.push(Command::new("XGROUP", args));
        }
        for consumer in &group.consumers {
            let consumer = Value::Bytes(consumer.clone());
            commands.push(if self.is_from(6, 2) {
                Command::new("XGROUP", ["CREATECONSUMER".into(), name.clone(), group_name.clone(), consumer])
            } else {
                // It asks for what is pending with a consumer, of which there is nothing, and makes it by that.
                let head = ["GROUP".into(), group_name.clone(), consumer, "COUNT".into(), "1".into()];
                Command::new("XREADGROUP", head.into_iter().chain(["STREAMS".into(), name.clone(), "0".into()]))
            });
        }
        for pending in &group.pending {
            let head = [name.clone(), group_name.clone(), Value::Bytes(pending.consumer.clone()), "0".into()];
            let id = [pending.id.as_str().into(), "TIME".into(), pending.delivered_at.to_string().into()];
            let tail = ["RETRYCOUNT".into(), pending.deliveries.to_string().into(), "FORCE".into(), "JUSTID".into()];
            commands.push(Command::new("XCLAIM", head.into_iter().chain(id).chain(tail)));
        }
    }

    /// Tells how many entries were ever added, before the first group that has read some: a server takes it for as many as that at
    /// most. The stand-ins count here, since a stream has no more entries than were added.
    fn tell_added(&mut self, name: &Value, group: &StreamGroup, commands: &mut Vec<Command>) {
        if group.entries_read.is_none() || !self.is_from(7, 0) {
            return;
        }
        if let Some((last_id, added)) = self.added.take() {
            let added = added.max(self.length).to_string();
            commands.push(Command::new("XSETID", [name.clone(), last_id.into(), "ENTRIESADDED".into(), added.into()]));
        }
    }

    /// The stand-ins go, and the stream's own numbers are set.
    fn end(&mut self, name: &Value, facts: Option<&StreamFacts>, commands: &mut Vec<Command>) {
        let deleted = facts.and_then(|facts| facts.max_deleted_id.as_deref()).filter(|id| *id != NONE);
        let stand_ins = std::mem::take(&mut self.stand_ins);
        if deleted.is_none() && !self.behind && self.is_from(7, 0) && !stand_ins.is_empty() {
            // They were trimmed away, from the front: XDEL would leave a trace of itself in the stream.
            commands.push(match &self.first {
                Some(id) => Command::new("XTRIM", [name.clone(), "MINID".into(), id.as_str().into()]),
                None => Command::new("XTRIM", [name.clone(), "MAXLEN".into(), "0".into()]),
            });
        } else {
            for ids in stand_ins.chunks(500) {
                let ids = ids.iter().map(|id| text_of(*id).into());
                commands.push(Command::new("XDEL", std::iter::once(name.clone()).chain(ids)));
            }
        }
        let Some(facts) = facts else { return };
        let mut args = vec![name.clone(), facts.last_id.as_str().into()];
        if self.is_from(7, 0) {
            if let Some(added) = facts.entries_added {
                args.extend(["ENTRIESADDED".into(), added.to_string().into()]);
            }
            if let Some(deleted) = deleted {
                args.extend(["MAXDELETEDID".into(), deleted.into()]);
            }
        }
        commands.push(Command::new("XSETID", args));
    }

    /// Takes note of the answer to XCLAIM.
    pub(super) fn claimed(&mut self, answer: &Value) {
        let claimed = match answer {
            Value::Array(ids) => !ids.is_empty(),
            Value::Null => false,
            _ => true,
        };
        self.lost += u64::from(!claimed);
    }

    /// Pending entries that could not be made again.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether the server is at least of this release, or does not tell.
    fn is_from(&self, major: u64, minor: u64) -> bool {
        self.release.is_none_or(|release| release >= (major, minor))
    }
}

fn text_of((ms, count): Id) -> String {
    format!("{ms}-{count}")
}

#[cfg(test)]
mod tests {
    use super::super::awaited::Awaited;
    use super::StreamBuild;
    use crate::backup::{Entry, Logical, Part, Pending, StreamFacts, StreamGroup, cut};
    use crate::model::{Packer, RedisKey};
    use bytes::Bytes;

    fn entry(ids: &[&str], pending: &[&str], max_deleted: &str) -> Entry {
        let items = ids.iter().flat_map(|id| [id.as_bytes(), b"1", b"f", b"v"]);
        let one = |id: &&str| Pending {
            id: (*id).to_owned(),
            consumer: Bytes::from_static(b"c"),
            delivered_at: 5,
            deliveries: 2,
        };
        let group = StreamGroup {
            name: Bytes::from_static(b"g"),
            last_id: "9-0".to_owned(),
            entries_read: None,
            consumers: vec![Bytes::from_static(b"c")],
            pending: pending.iter().map(one).collect(),
        };
        let facts = StreamFacts {
            last_id: "9-0".to_owned(),
            max_deleted_id: Some(max_deleted.to_owned()),
            entries_added: Some(7),
        };
        Entry {
            database: 0,
            key: RedisKey::new("k"),
            type_name: "stream".into(),
            expires_at: None,
            part: Part::WHOLE,
            dump: None,
            logical: Some(Logical::Stream {
                entries: items.collect::<Packer>().finish(),
                facts: Some(facts),
                groups: vec![group],
            }),
        }
    }

    /// What a stream takes that comes in these parts.
    fn said(parts: &[Entry]) -> Vec<String> {
        let mut awaited = Awaited::default();
        parts.iter().for_each(|part| awaited.take(part));
        let mut build = StreamBuild::new(Some((7, 0)), awaited);
        let mut said = Vec::new();
        for part in parts {
            let Some(Logical::Stream { entries, facts, groups }) = &part.logical else { panic!("a stream") };
            let commands = build.commands(&"n".into(), (entries, facts.as_ref(), groups), part.part);
            said.extend(commands.iter().map(|command| {
                let args: Vec<_> =
                    command.args.iter().map(|arg| arg.as_str_lossy().unwrap_or_default().into_owned()).collect();
                format!("{} {}", command.name, args.join(" "))
            }));
        }
        said
    }

    #[test]
    fn a_pending_entry_that_was_deleted_is_there_while_it_is_claimed() {
        let said = said(&[entry(&["1-0", "3-0"], &["1-0", "2-0"], "4-0")]);
        let all = said.join("\n");
        assert_eq!(
            all,
            "XADD n 1-0 f v\nXADD n 2-0  \nXADD n 3-0 f v\nXGROUP CREATE n g 9-0\nXGROUP CREATECONSUMER n g c\n\
             XCLAIM n g c 0 1-0 TIME 5 RETRYCOUNT 2 FORCE JUSTID\nXCLAIM n g c 0 2-0 TIME 5 RETRYCOUNT 2 FORCE JUSTID\n\
             XDEL n 2-0\nXSETID n 9-0 ENTRIESADDED 7 MAXDELETEDID 4-0"
        );
    }

    /// A newer server takes a group for having read as many entries as were added by then, at most.
    #[test]
    fn how_many_entries_were_added_is_told_before_a_group_that_has_read_them() {
        let said_of = |read: Option<u64>, pending: &[&str]| {
            let mut entry = entry(&["8-0", "9-0"], pending, "0-0");
            if let Some(Logical::Stream { groups, .. }) = &mut entry.logical {
                groups[0].entries_read = read;
                groups.push(StreamGroup {
                    name: Bytes::from_static(b"h"),
                    last_id: "8-0".to_owned(),
                    entries_read: Some(3),
                    consumers: Vec::new(),
                    pending: Vec::new(),
                });
            }
            let all = said(&[entry]).into_iter();
            all.filter(|said| said.starts_with("XSETID") || said.starts_with("XGROUP CREATE ")).collect::<Vec<_>>()
        };
        let (early, other) = ("XSETID n 9-0 ENTRIESADDED 7", "XGROUP CREATE n h 8-0 ENTRIESREAD 3");
        assert_eq!(said_of(Some(5), &[]), [early, "XGROUP CREATE n g 9-0 ENTRIESREAD 5", other, early]);
        assert_eq!(said_of(None, &[]), ["XGROUP CREATE n g 9-0", early, other, early]);
        // More stand in than were added: no server takes fewer than there are.
        let pending = ["1-0", "2-0", "3-0", "4-0", "5-0", "6-0"];
        let all = "XSETID n 9-0 ENTRIESADDED 8";
        assert_eq!(said_of(Some(5), &pending), [all, "XGROUP CREATE n g 9-0 ENTRIESREAD 5", other, early]);
    }

    #[test]
    fn what_was_trimmed_away_leaves_no_trace_of_a_deletion() {
        let said_of = |ids: &[&str], pending: &[&str]| said(&[entry(ids, pending, "0-0")]);
        assert!(said_of(&["3-0"], &["1-0"]).contains(&"XTRIM n MINID 3-0".to_owned()));
        assert!(said_of(&[], &["1-0"]).contains(&"XTRIM n MAXLEN 0".to_owned()));
        assert!(said_of(&[], &[]).first().is_some_and(|first| first.ends_with("MKSTREAM")));
        assert!(!said_of(&["3-0"], &["3-0"]).iter().any(|said| said.starts_with("XTRIM") || said.starts_with("XDEL")));
    }
    #[test]
    fn what_is_pending_is_known_before_the_first_of_many_parts() {
        let value = "v".repeat(100_000);
        let ids: Vec<String> = (1..40).map(|ms| format!("{}-0", ms * 2)).collect();
        let items = ids.iter().flat_map(|id| [id.as_bytes(), b"1", b"f", value.as_bytes()]);
        let mut whole = entry(&[], &["1-0", "2-0", "41-0", "77-0"], "77-0");
        if let Some(Logical::Stream { entries, facts: Some(facts), .. }) = &mut whole.logical {
            *entries = items.collect::<Packer>().finish();
            facts.last_id = "90-0".to_owned();
        }
        let parts = cut(whole);
        assert!(parts.len() > 3, "{}", parts.len());
        let said: Vec<String> = said(&parts).into_iter().map(|said| said.replace(&value, "v")).collect();
        let place =
            |line: &str| said.iter().position(|said| said == line).unwrap_or_else(|| panic!("{line}: {said:#?}"));
        assert!(place("XADD n 1-0  ") < place("XADD n 2-0 f v") && place("XADD n 40-0 f v") < place("XADD n 41-0  "));
        assert!(
            place("XADD n 41-0  ") < place("XADD n 42-0 f v")
                && place("XADD n 77-0  ") < place("XGROUP CREATE n g 9-0")
        );
        assert!(place("XDEL n 1-0 41-0 77-0") == said.len() - 2);
        assert_eq!(said.iter().filter(|said| said.starts_with("XADD n 2-0")).count(), 1);
    }
}
