//! Parents that an older script left under other ids: they are known by what their lineage says, and a child that names one is given
//! the id of the row that is there.

use super::{Named, Retrying};
use crate::job::pipeline::Made;
use crate::mapping::{Mapping, ParentRef};
use crate::model::{Failure, MappingId, RedisKey};
use crate::postgres::{ident, query, table_ident};
use crate::sink::ParentCheck;
use crate::source::Source;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error, Row as _};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The ids of the rows that have one of these in the `redis_document_id` of their lineage, as text. One that several rows have is
/// nobody's.
///
/// # Errors
/// The server's.
pub(in crate::job) async fn ids_by_lineage(
    connection: &mut PgConnection,
    check: &ParentCheck,
    documents: &[String],
) -> Result<HashMap<String, String>, Error> {
    let Some(column) = &check.lineage else { return Ok(HashMap::new()) };
    let (id, lineage) = (ident(&check.key), ident(column));
    let mut transaction = connection.begin().await?;
    let rows = query(format!(
        "SELECT p.{lineage} ->> 'redis_document_id' AS document, pg_catalog.min(p.{id}::text) AS id FROM {} p \
         WHERE p.{lineage} ->> 'redis_document_id' = ANY ($1) GROUP BY 1 HAVING pg_catalog.count(*) = 1",
        table_ident(&check.table)
    ))
    .bind(documents)
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    rows.iter().map(|row| Ok((row.try_get("document")?, row.try_get("id")?))).collect()
}

/// Gives rows of children whose parents cannot be had from Redis the ids of rows that are known by those parents' ids. A key that is
/// several rows is left as it is.
///
/// # Errors
/// The server's.
pub(super) async fn adopt<S: Source>(
    retrying: &mut Retrying<'_, S>,
    id: MappingId,
    (wanted, unread): (&[Named], &BTreeMap<RedisKey, String>),
    made: &mut Made,
) -> Result<(), Failure> {
    let shared = retrying.shared;
    let mapping = shared.plan.mapping(id);
    let Some(table) = retrying.table(id).filter(|_| !mapping.explodes()) else { return Ok(()) };
    let checks: Vec<ParentCheck> = table.parents.iter().filter(|check| check.lineage.is_some()).cloned().collect();
    for check in checks {
        let parent = shared.plan.mapping(check.mapping);
        let documents = documents(parent, check.mapping, wanted, unread);
        if documents.is_empty() {
            continue;
        }
        let names: Vec<String> = documents.values().cloned().collect::<BTreeSet<_>>().into_iter().collect();
        let find = async |connection: &mut _| ids_by_lineage(connection, &check, &names).await;
        let ids = retrying.link.read("looking for parents by their lineage", find).await?;
        let reference = ParentRef { mapping: check.mapping, column: check.column };
        give(mapping, reference, (&documents, &ids), made);
    }
    Ok(())
}

/// The document that each child names whose parent, under whichever key it may be, was not had.
fn documents(
    parent: &Mapping,
    id: MappingId,
    wanted: &[Named],
    unread: &BTreeMap<RedisKey, String>,
) -> HashMap<RedisKey, String> {
    let of_parent = || wanted.iter().filter(|(_, mapping, _)| *mapping == id);
    let mut documents: HashMap<RedisKey, String> =
        of_parent().filter_map(|(child, _, key)| Some((child.detached(), parent.document_id_of(key)?))).collect();
    of_parent().filter(|(_, _, key)| !unread.contains_key(key)).for_each(|(child, _, _)| {
        documents.remove(child);
    });
    documents
}

fn give(
    mapping: &Mapping,
    reference: ParentRef,
    (documents, ids): (&HashMap<RedisKey, String>, &HashMap<String, String>),
    made: &mut Made,
) {
    for row in &mut made.rows {
        let id = documents.get(&row.key).and_then(|document| ids.get(document));
        // An id that does not fit the column leads nowhere, and the child stays without a parent.
        if let Some(id) = id {
            let _ = mapping.refer(row, reference.column, id);
        }
    }
}
