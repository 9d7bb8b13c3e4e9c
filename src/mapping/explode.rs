//! One key to many rows: a row for each element of its value.
//!
//! An element is seen as JSON, like any value: of a hash `{"field", "value"}`, of a list `{"index", "value"}`, of a set
//! `{"member"}`, of a sorted set `{"member", "score"}`, of a stream `{"id", "time", "sequence", "fields"}`; an element of
//! a JSON array is itself.

use super::collection::ItemWriter;
use super::place::{ElementPlace, Place};
use super::plan::Mapping;
use super::scratch::Scratch;
use super::top::Top;
use super::value::Prepared;
use super::{ExplodeSpec, LineageSpec, MappingSpec};
use crate::decode::{Content, DecodeError, JsonPath, Kind, elements, scan};
use crate::model::{ElementOf, Group, Items, Record, RedisKey, RedisType, RedisTypes, Reject, Row, UnixMillis};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// What happens to the rows of elements that a key no longer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemovedElements {
    /// They are deleted, each kept as a before-image.
    #[default]
    Delete,
    /// They stay: the table is a history, of which Redis keeps only the end.
    Keep,
}

impl RemovedElements {
    pub(super) fn is_delete(&self) -> bool {
        *self == Self::Delete
    }
}

/// What a mapping takes apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Explode {
    /// The value itself: a collection, or a JSON array.
    Value,
    /// The array at a path of a JSON value, and the path as it is written.
    At(JsonPath, Arc<str>),
}

impl Explode {
    /// Reads the setting; `of_key`: all columns that identify a row say the same of every element.
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub(super) fn read(
        spec: &MappingSpec,
        types: RedisTypes,
        of_key: bool,
    ) -> Result<Option<Self>, (String, &'static str)> {
        let explode = match &spec.explode {
            None | Some(ExplodeSpec::Value(false)) if !spec.removed_elements.is_delete() => {
                let message = "`removed_elements` is of elements, and the mapping makes one row of a key";
                return Err((message.into(), "Set `explode`, or take it out."));
            }
            None | Some(ExplodeSpec::Value(false)) => return Ok(None),
            Some(ExplodeSpec::Value(true)) => Self::Value,
            Some(ExplodeSpec::At(path)) if types.iter().all(RedisType::is_whole) => {
                let parsed = JsonPath::parse(path).map_err(|error| {
                    (format!("`explode`: {error}"), "Write the path of an array, such as `explode = \"$.lines\"`.")
                })?;
                Self::At(parsed, path.as_str().into())
            }
            Some(ExplodeSpec::At(_)) => {
                let hint = "Write `explode = true`, or take only strings.";
                return Err(("`explode` names a path, and the type has items of its own".into(), hint));
            }
        };
        if spec.decode.last().is_some_and(|last| last == "text" || last == "bytes" || last == "raw") {
            let hint = "End `decode` in json, or take `explode` out.";
            return Err(("`explode` needs JSON, and `decode` ends in something else".into(), hint));
        }
        if !matches!(spec.lineage, None | Some(LineageSpec::Apart(_))) {
            let hint = "Leave `lineage` out: the ledger keeps it, and finds by it the rows whose elements are gone.";
            return Err(("`explode` and `lineage` in the row do not go together".into(), hint));
        }
        if of_key {
            let hint = "Add a column to `key` that comes from the element, such as its field, member, index or id.";
            return Err(("`key` holds nothing of the element: all elements of a key would be one row".into(), hint));
        }
        Ok(Some(explode))
    }
}

/// An element: where it is, its bytes in the value, and how it is seen, or why it cannot be.
struct Element<'a> {
    place: ElementPlace,
    bytes: Bytes,
    view: Result<Cow<'a, str>, DecodeError>,
    altered: Vec<&'static str>,
}

impl Mapping {
    /// Whether its keys become several rows each.
    pub fn explodes(&self) -> bool {
        self.explode.is_some()
    }

    /// The path of the array that it takes apart, where that is JSON.
    pub fn exploded_array(&self) -> Arc<str> {
        match &self.explode {
            Some(Explode::At(_, path)) => path.clone(),
            _ => "$".into(),
        }
    }

    /// Whether the rows of elements that a key no longer has are to be deleted.
    pub fn deletes_removed(&self) -> bool {
        self.explodes() && self.deletes_removed
    }

    /// Maps the elements of a record, or of a slice of one, to rows of `group`; elements that cannot become a row are
    /// booked there. `now` is the moment that the lineage states.
    ///
    /// # Errors
    /// A reject of the whole key, where it cannot be taken apart.
    pub fn explode(
        &self,
        record: &Record,
        now: UnixMillis,
        scratch: &mut Scratch,
        group: &Arc<Group>,
    ) -> Result<Vec<Row>, Reject> {
        self.read_key(record)?;
        let mut rows: Vec<Row> = Vec::new();
        let repairs = self.each_element(record, &mut |element| {
            let (bytes, index) = (element.bytes.clone(), element.place.index);
            match self.element(record, element, now, scratch) {
                Ok(mut row) => {
                    // Held once, by the group.
                    row.facts = None;
                    row.group = Some(group.clone());
                    rows.push(row);
                }
                Err(reject) => {
                    let element = ElementOf { redis_type: record.redis_type, bytes: &bytes, index };
                    group.reject(reject.of_element(group, element));
                }
            }
        })?;
        // What was repaired in the value as a whole is counted once, beside what was repaired in its elements.
        group.altered(&repairs);
        self.note_elements(record, &rows, group);
        Ok(rows)
    }

    /// Has equal elements noticed. Only a list and an array have such: a cursor may give an item of the others twice.
    fn note_elements(&self, record: &Record, rows: &[Row], group: &Group) {
        let may_repeat = record.redis_type.is_whole() || record.redis_type == RedisType::List;
        // Of what comes in parts the hashes are kept: not where the key of each row has the place.
        if may_repeat && !(group.sliced && self.tells_places_apart()) {
            let hashes = rows.iter().map(|row| {
                let mut hasher = DefaultHasher::new();
                (row.identity(), &row.value).hash(&mut hasher);
                hasher.finish()
            });
            group.note_elements(hashes, record.slice.is_none_or(|slice| slice.last));
        }
    }

    /// The keys of the rows that a record's elements refer to, where they can be built back.
    pub(super) fn parents_of_elements(&self, place: usize, record: &Record) -> Vec<RedisKey> {
        let mut keys = Vec::new();
        let Ok((key, captures)) = self.read_key(record) else { return keys };
        let mut fields = Vec::new();
        let _ = self.each_element(record, &mut |element| {
            let Ok(view) = element.view else { return };
            let Ok(scanned) = scan(&view, &mut fields) else { return };
            let content = Content::Json(view, scanned);
            let context = self.context(record, Place::element(element.place), (key, captures), &content, &fields);
            keys.extend(self.referred(place, &context).unwrap_or_default());
        });
        keys
    }

    /// Gives each element to `take`; returns what was repaired in the value as a whole.
    fn each_element(&self, record: &Record, take: &mut impl FnMut(Element<'_>)) -> Result<Vec<&'static str>, Reject> {
        if record.redis_type.is_whole() {
            return self.array(record, take);
        }
        self.items(record, take);
        Ok(Vec::new())
    }

    /// The elements of the array in a JSON value.
    fn array(&self, record: &Record, take: &mut impl FnMut(Element<'_>)) -> Result<Vec<&'static str>, Reject> {
        let mut fields = Vec::new();
        let prepared = self.prepare(record, &mut fields)?;
        let Content::Json(text, scanned) = &prepared.content else { return Ok(prepared.altered) };
        let array = match &self.explode {
            // A value that the path cannot enter says nothing of its elements: they are not taken for gone.
            Some(Explode::At(path, _)) => {
                Top::of(path).check(scanned.kind).map_err(|error| self.undecoded(record, error))?;
                path.find(text, &fields, scanned.escaped_keys)
            }
            _ => Some(text.trim_ascii()),
        };
        // Nothing there, or null, is no element.
        let Some(array) = array.filter(|array| Kind::of(array) != Kind::Null) else {
            return Ok(prepared.altered);
        };
        let Some(all) = elements(array) else {
            let kind = Kind::of(array).name();
            let detail = format!("an array is wanted to make rows of, and the value is JSON ({kind})");
            return Err(self.undecoded(record, DecodeError::new(format!("json_not_array ({kind})"), detail)));
        };
        for (index, element) in (0..).zip(all) {
            let bytes = part(&record.value, element.as_bytes());
            let place = ElementPlace { index, expiry: None };
            take(Element { place, bytes, view: Ok(Cow::Borrowed(element)), altered: Vec::new() });
        }
        Ok(prepared.altered)
    }

    fn element(
        &self,
        record: &Record,
        element: Element<'_>,
        now: UnixMillis,
        scratch: &mut Scratch,
    ) -> Result<Row, Reject> {
        // Its own digest and, where it is rejected, its own bytes.
        let record = Record { value: element.bytes, ..record.clone() };
        let mut altered = element.altered;
        let view = element.view.map_err(|error| self.undecoded(&record, error))?;
        let (view, scanned) = match scan(&view, &mut scratch.fields) {
            Ok(scanned) => {
                // An array was looked at as a whole.
                if !record.redis_type.is_whole() {
                    let judged = self.decoder.judge_keys(&view, scanned, &mut altered);
                    judged.map_err(|error| self.undecoded(&record, error))?;
                }
                (view, scanned)
            }
            // What a policy repairs is repaired in a copy.
            Err(_) => {
                let checked = self.decoder.check(view.into_owned(), &mut scratch.fields, &mut altered);
                let (text, scanned) = checked.map_err(|error| self.undecoded(&record, error))?;
                (Cow::Owned(text), scanned)
            }
        };
        self.top.check(scanned.kind).map_err(|error| self.undecoded(&record, error))?;
        let prepared = Prepared { content: Content::Json(view, scanned), altered };
        self.row(&record, prepared, Some(element.place), now, scratch)
    }
}

/// A piece of the value as its own bytes: shared where it lies in the value, else a copy.
fn part(value: &Bytes, piece: &[u8]) -> Bytes {
    let range = value.as_ptr_range();
    let inside = range.contains(&piece.as_ptr()) && piece.as_ptr_range().end <= range.end;
    if inside { value.slice_ref(piece) } else { Bytes::copy_from_slice(piece) }
}

impl Mapping {
    /// The items of a collection, each as JSON.
    fn items(&self, record: &Record, take: &mut impl FnMut(Element<'_>)) {
        let mut items = Items::of(&record.value);
        let first = record.slice.map_or(0, |slice| slice.from);
        let fields = record.facts.as_ref().and_then(|facts| facts.fields.as_ref());
        for (place, index) in (first..).enumerate() {
            let before = items.rest();
            let (mut view, mut altered) = (String::new(), Vec::new());
            let mut writer = self.item_writer(&mut view, &mut altered);
            let Some(written) = writer.item(record.redis_type, &mut items, index) else { break };
            let bytes = part(&record.value, before.get(..before.len() - items.rest().len()).unwrap_or(before));
            let place = ElementPlace { index, expiry: fields.and_then(|fields| fields.field(place)) };
            take(Element { place, bytes, view: written.map(|()| Cow::Owned(view)), altered });
        }
    }
}

impl ItemWriter<'_> {
    /// Writes the next item; `None` after the last.
    fn item(&mut self, redis_type: RedisType, items: &mut Items<'_>, index: u64) -> Option<Result<(), DecodeError>> {
        let first = items.next()?;
        Some(match redis_type {
            RedisType::Hash => self.field(first, items.next()?),
            RedisType::Zset => self.scored(first, items.next()?),
            RedisType::Set => self.alone(first),
            RedisType::Stream => {
                let count: usize = std::str::from_utf8(items.next()?).ok()?.parse().ok()?;
                let fields: Vec<(&[u8], &[u8])> = (0..count).map_while(|_| items.next().zip(items.next())).collect();
                self.entry(first, fields)
            }
            _ => {
                self.out.push_str(&format!("{{\"index\":{index},\"value\":"));
                self.value(first, "$.value").map(|()| self.out.push('}'))
            }
        })
    }

    fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), DecodeError> {
        self.out.push_str("{\"field\":");
        self.name(name, "$.field")?;
        self.out.push_str(",\"value\":");
        self.value(value, "$.value")?;
        self.out.push('}');
        Ok(())
    }

    fn alone(&mut self, member: &[u8]) -> Result<(), DecodeError> {
        self.out.push_str("{\"member\":");
        self.member(member, "$.member")?;
        self.out.push('}');
        Ok(())
    }

    fn scored(&mut self, member: &[u8], score: &[u8]) -> Result<(), DecodeError> {
        self.out.push_str("{\"member\":");
        self.member(member, "$.member")?;
        self.out.push_str(",\"score\":");
        self.number(score, "$.score")?;
        self.out.push('}');
        Ok(())
    }

    /// The id's parts are milliseconds since 1970 and a number within them, both up to 2⁶⁴ − 1.
    fn entry(&mut self, id: &[u8], fields: Vec<(&[u8], &[u8])>) -> Result<(), DecodeError> {
        self.out.push_str("{\"id\":");
        self.string(id, "$.id")?;
        let text = String::from_utf8_lossy(id);
        let (time, sequence) = text.split_once('-').unwrap_or((&text, "0"));
        if !time.is_empty() && [time, sequence].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit())) {
            self.out.push_str(&format!(",\"time\":{time},\"sequence\":{sequence}"));
        }
        self.out.push_str(",\"fields\":");
        self.object(fields.iter().copied(), "$.fields")?;
        self.out.push('}');
        Ok(())
    }
}
