//! What the books and a person are told of rows whose keys are gone.

use super::work::{Place, Work};
use crate::model::{Event, GoneRow, Tally};
use crate::source::Source;

impl<S: Source> Work<'_, '_, S> {
    /// Tells the books what stays, and a person what is not as it should be.
    pub(super) async fn tell(&self, dry: bool) {
        for place in &self.places {
            let mut tally = Tally::default();
            let Place { seen, last, table, .. } = place;
            let mut gone = |what, rows| tally.gone(what, rows, table.explodes);
            gone(GoneRow::Expired, seen.expired);
            gone(GoneRow::ExpiryUnknown, seen.expiry_unknown);
            gone(GoneRow::Changed, seen.changed + last.changed);
            gone(GoneRow::Forbidden, seen.forbidden);
            gone(GoneRow::Referred, last.referred);
            gone(GoneRow::Cleaned, seen.cleaned);
            gone(GoneRow::Collided, place.collided);
            gone(GoneRow::Refused, last.refused);
            gone(GoneRow::WouldDelete, if dry { seen.gone } else { 0 });
            let _ = self.shared.events.send(Event::Settled { mapping: place.id, tally, bytes: 0, pending: 0 }).await;
            let mut notices = Vec::new();
            if let Some(source) = place.others.keys().next() {
                notices.push(format!(
                    "{} rows of {} were written by runs of another source, such as {source}, and were not looked at",
                    place.others.values().sum::<i64>(),
                    table.table
                ));
            }
            if last.refused > 0 {
                let why = last.said.as_deref().unwrap_or("a trigger, a rule or a policy of the table keeps them");
                notices.push(format!(
                    "{} rows of {} whose keys are gone were not deleted: {why}",
                    last.refused, table.table
                ));
            }
            if seen.expiry_unknown > 0 {
                notices.push(format!(
                    "{} rows of {} whose keys are gone stay: nothing tells whether the keys expired, since the mapping keeps \
                     no time of expiry; --delete-expired deletes them too",
                    seen.expiry_unknown, table.table
                ));
            }
            for text in notices {
                let _ = self.shared.events.send(Event::Notice(text)).await;
            }
        }
    }
}
