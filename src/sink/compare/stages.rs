//! Rows that cannot be staged together, kept apart.

use crate::model::{Row, Shape};
use crate::sink::load::columns::kept_apart_in_stage;
use crate::sink::table::LoadTable;
use std::collections::BTreeSet;

/// So many staging tables are there in one transaction at most.
const MAX_STAGES: usize = 64;

/// The rows, cut up so that none of the parts takes too many staging tables.
pub(super) fn by_stages(table: &LoadTable, rows: Vec<Row>) -> Vec<Vec<Row>> {
    let apart = kept_apart_in_stage(table);
    let (mut parts, mut stages) = (vec![Vec::new()], BTreeSet::new());
    for row in rows {
        let stage = Shape(row.shape.0 & apart.0);
        stages.insert(stage);
        if stages.len() > MAX_STAGES {
            stages = [stage].into();
            parts.push(Vec::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push(row);
        }
    }
    parts
}
