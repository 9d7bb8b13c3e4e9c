//! Parents that an older script left under other ids: a run gives their children those ids, so they are not missing.

use super::{DryParents, Lost};
use crate::job::parents::ids_by_lineage;
use crate::mapping::ParentRef;
use crate::model::{Failure, MappingId, Row};
use crate::postgres::failure;
use crate::source::Source;
use sqlx::Connection;
use std::collections::HashMap;

impl<S: Source> DryParents<S> {
    /// Leaves those whose parent is not there under another id either, as a run would find it.
    pub(super) async fn retain_unknown_by_lineage(
        &mut self,
        (mapping, parent): (MappingId, ParentRef),
        rows: &[Row],
        lost: &mut Lost,
    ) -> Result<(), Failure> {
        let plan = self.shared.plan.clone();
        let (of_child, of_parent) = (plan.mapping(mapping), plan.mapping(parent.mapping));
        let table = self.tables.get(usize::from(mapping.0));
        let check = table.and_then(|table| table.parents.iter().find(|check| check.column == parent.column));
        let Some(check) = check.filter(|check| check.lineage.is_some() && !lost.is_empty() && !of_child.explodes())
        else {
            return Ok(());
        };
        let documents: HashMap<usize, String> =
            lost.iter().filter_map(|(at, (key, _))| Some((*at, of_parent.document_id_of(key)?))).collect();
        let names: Vec<String> = documents.values().cloned().collect();
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.target.0.connect().await?),
        };
        let limits = self.target.1;
        let asked = async {
            let mut transaction = connection.begin().await?;
            limits.set(&mut transaction).await?;
            let ids = ids_by_lineage(&mut transaction, check, &names).await?;
            transaction.rollback().await?;
            Ok::<_, sqlx::Error>(ids)
        };
        let ids = asked.await.map_err(|error| failure("looking for parents by their lineage", error))?;
        lost.retain(|at, _| {
            let id = documents.get(at).and_then(|document| ids.get(document));
            let fits = |id: &String| {
                let row = rows.get(*at).cloned();
                row.is_some_and(|mut row| of_child.refer(&mut row, parent.column, id).unwrap_or(false))
            };
            !id.is_some_and(fits)
        });
        Ok(())
    }
}
