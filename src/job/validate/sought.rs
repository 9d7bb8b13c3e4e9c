//! Keys without a row whose values would be rejected now: a run may have loaded them before. A row says of which key it was made, and not the
//! other way round; so they are held until the rows of the run are gone through.

use super::Findings;
use super::state::{Place, State};
use crate::model::{Failure, MappingId};
use crate::sink::Compared;

/// So many keys are held at most.
const SOUGHT: usize = 100_000;

impl State {
    /// Holds a key, to be looked for; gives it back where there are too many.
    pub(super) fn seek(&mut self, (mapping, database): (MappingId, u8), mut key: Compared) -> Option<Compared> {
        if self.sought.len() >= SOUGHT {
            self.unsought += 1;
            return Some(key);
        }
        let place = (mapping, database, key.key.detached());
        key.values = Vec::new();
        self.sought.insert(place, key);
        None
    }
}

impl Findings {
    /// Notes that a row of the run names a key: where that is sought, it was loaded before.
    ///
    /// # Errors
    /// The report cannot be written.
    pub(super) fn was_loaded(&self, place: &Place) -> Result<(), Failure> {
        let mut state = self.state();
        let Some(mut key) = state.sought.remove(place) else { return Ok(()) };
        key.was_loaded();
        self.count(&mut state, (place.0, place.1), key)
    }

    /// Whether any key is sought among the rows of the run.
    pub(super) fn seeks(&self) -> bool {
        !self.state().sought.is_empty()
    }

    /// Counts keys that are sought no more: no row names them.
    ///
    /// # Errors
    /// The report cannot be written.
    pub(super) fn give_up_seeking(&self) -> Result<(), Failure> {
        let mut state = self.state();
        for ((mapping, database, _), mut key) in std::mem::take(&mut state.sought) {
            key.refused = 0;
            self.count(&mut state, (mapping, database), key)?;
        }
        Ok(())
    }
}

/// What there is to say of keys that were not looked for.
pub(super) fn said(unsought: u64) -> Option<String> {
    (unsought > 0).then(|| {
        format!(
            "{unsought} keys would be rejected now, beyond the {SOUGHT} that are looked for among the rows of the run: they count as missing, \
             or as rejected where a reject is known, though the run may have loaded them before"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::LeftOut;
    use super::super::findings::{Findings, Taken};
    use super::{SOUGHT, said};
    use crate::model::{Class, MappingId, RedisKey};
    use crate::sink::Compared;
    use tokio::sync::mpsc;

    fn findings() -> Findings {
        let (events, _) = mpsc::channel(1);
        Findings::new(["documents".to_owned()].into(), events, LeftOut::None, None)
    }

    /// A missing key whose value would be rejected now.
    fn book(findings: &Findings, key: String) {
        let mut key = Compared::of(RedisKey::new(key), Class::Missing);
        key.refused = 1;
        findings.count(&mut findings.state(), (MappingId(0), 0), key).unwrap();
    }

    #[test]
    fn a_key_that_would_be_rejected_now_is_stale_where_a_row_names_it() {
        let findings = findings();
        ["a", "b"].into_iter().for_each(|key| book(&findings, key.to_owned()));
        assert!(findings.seeks());
        findings.was_loaded(&(MappingId(0), 0, RedisKey::new("a"))).unwrap();
        findings.give_up_seeking().unwrap();
        let Taken { counts, unsought, .. } = findings.take();
        let counts = &counts[&MappingId(0)].keys;
        assert_eq!((counts.get(Class::Stale), counts.get(Class::Missing)), (1, 1));
        assert_eq!((unsought, said(unsought)), (0, None));
    }

    #[test]
    fn keys_beyond_those_that_are_looked_for_are_told() {
        let findings = findings();
        (0..SOUGHT + 3).for_each(|number| book(&findings, number.to_string()));
        (0..SOUGHT + 3).for_each(|number| {
            findings.was_loaded(&(MappingId(0), 0, RedisKey::new(number.to_string()))).unwrap();
        });
        findings.give_up_seeking().unwrap();
        let Taken { counts, unsought, .. } = findings.take();
        let counts = &counts[&MappingId(0)].keys;
        assert_eq!((counts.get(Class::Stale), counts.get(Class::Missing)), (SOUGHT as i64, 3));
        assert!(said(unsought).unwrap().starts_with("3 keys would be rejected now, beyond the 100000 "));
    }
}
