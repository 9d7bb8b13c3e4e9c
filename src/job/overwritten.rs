//! Says of a run that it overwrote rows of keys that a cleanup had deleted: what these had is nowhere else.

use super::run::Finished;
use crate::model::{MappingId, Tally};
use uuid::Uuid;

/// Says so, of each mapping of which that is so.
pub(super) fn tell(finished: &mut Finished, run: Option<Uuid>) {
    let Some(run) = run else { return };
    let of = |id: MappingId| Some((finished.books.name(id), finished.books.tally(id)?.clone()));
    let mappings: Vec<(String, Tally)> = finished.books.mappings().filter_map(of).collect();
    for (name, tally) in mappings.iter().filter(|(_, tally)| tally.overwritten_cleaned > 0) {
        finished.notice(said(name, tally, &run.to_string()));
    }
}

fn said(name: &str, tally: &Tally, run: &str) -> String {
    let first = tally.first_overwritten.as_ref().map(|key| format!(", the first of {key}")).unwrap_or_default();
    format!(
        "{name}: {} rows were overwritten whose keys a cleanup had deleted{first}: the keys were begun anew, and what the rows had is in no \
         other place than their before-images. (Keys may be among them that an interrupted cleanup had not come to.) \
         redis2pg rollback --run {run} puts all that this run overwrote back, as long as no \
         cleanup has deleted its keys; single rows: SELECT table_name, row_key, image FROM redis2pg.before_images WHERE run_id = '{run}'",
        tally.overwritten_cleaned
    )
}

#[cfg(test)]
mod tests {
    use super::said;
    use crate::model::{RedisKey, Tally};

    #[test]
    fn it_says_how_many_of_which_and_how_to_get_them_back() {
        let mut tally = Tally::default();
        tally.overwrite_cleaned(&RedisKey::new("queue:a"));
        tally.overwrite_cleaned(&RedisKey::new("queue:b"));
        let text = said("jobs", &tally, "r1");
        assert!(
            text.starts_with("jobs: 2 rows were overwritten whose keys a cleanup had deleted, the first of queue:a:"),
            "{text}"
        );
        assert!(text.contains("rollback --run r1 ") && text.contains("WHERE run_id = 'r1'"), "{text}");
        tally.first_overwritten = None;
        assert!(
            said("jobs", &tally, "r1").contains("had deleted: the keys"),
            "of a run that goes on the key may be another process's"
        );
    }
}
