//! Rows that are known by the id in their lineage, and not by their own: what a child needs to be given such a parent.

use super::place::Place;
use super::plan::Mapping;
use super::source::Found;
use crate::decode::Content;
use crate::encode::{EncodeError, Value};
use crate::model::{Record, RedisKey, RedisType, Row};
use bytes::Bytes;
use std::borrow::Cow;

impl Mapping {
    /// What `redis_document_id` of a key's row says, where the key alone tells.
    pub fn document_id_of(&self, key: &RedisKey) -> Option<String> {
        let source = self.lineage_id.as_ref().filter(|source| source.is_of_key())?;
        let record = Record {
            key: key.clone(),
            redis_type: RedisType::String,
            value: Bytes::new(),
            stored: None,
            slice: None,
            expires_at: None,
            facts: None,
        };
        let known = self.read_key(&record).ok()?;
        let content = Content::Text(Cow::Borrowed(""));
        let context = self.context(&record, Place::default(), known, &content, &[]);
        match source.evaluate(&context).ok()? {
            Found::Text(text) | Found::Raw(text) => Some(text.into_owned()),
            _ => None,
        }
    }

    /// Lets a row refer to another parent: `id` becomes the value of column `column`, and the repair is noted. A column that the
    /// row does not have, or that is part of its key, is left as it is; `false` then.
    ///
    /// # Errors
    /// The id does not fit the column.
    pub fn refer(&self, row: &mut Row, column: usize, id: &str) -> Result<bool, EncodeError> {
        let Some(target) = self.targets.get(column).filter(|_| column >= self.key_columns) else { return Ok(false) };
        let mut field = Vec::new();
        target.encoder.encode(Value::Text(id), &mut field)?;
        let replaced = row.replace_field(column, &field);
        if replaced {
            row.altered.push(PARENT_BY_LINEAGE);
        }
        Ok(replaced)
    }
}

/// What such a row is counted under.
const PARENT_BY_LINEAGE: &str = "parent_by_lineage";
