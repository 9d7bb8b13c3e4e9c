//! Where the scan of a cluster goes on, as the text that a checkpoint keeps. Pure.

use super::slots::SlotSet;
use super::topology::View;

/// A place in the scan of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The slots whose keys have all been listed.
    pub(super) done: SlotSet,
    /// What the node at hand said of itself when its scan began.
    pub(super) began: View,
    /// The run id of that node's server.
    pub(super) run_id: String,
    /// The cursor to ask it for next; "0" behind its last page.
    pub(super) cursor: String,
}

impl Place {
    /// The place in words between spaces; what there is none of is `-`.
    pub(super) fn text(&self) -> String {
        let View { id, slots, leaving, epoch } = &self.began;
        format!("{} {id} {epoch} {slots} {leaving} {} {}", self.done, self.run_id, self.cursor)
    }

    /// The place that a text says; `None` where it says none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        let [done, id, epoch, slots, leaving, run_id, cursor] = words.as_slice() else { return None };
        cursor.parse::<u64>().ok()?;
        Some(Self {
            done: SlotSet::parse(done)?,
            began: View {
                id: (*id).to_owned(),
                slots: SlotSet::parse(slots)?,
                leaving: SlotSet::parse(leaving)?,
                epoch: epoch.parse().ok()?,
            },
            run_id: (*run_id).to_owned(),
            cursor: (*cursor).to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn a_place_is_what_its_text_says() {
        for text in ["- aaa 3 0-99,200 7 r1 17", "0-16383 bbb 0 - - - 18446744073709551615"] {
            assert_eq!(Place::parse(text).unwrap().text(), text);
        }
        for text in ["", "0", "17", "- aaa 3 0-99 7 r1", "- aaa 3 0-99 7 r1 x", "- aaa 3 0-99 7 r1 1 2"] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }
}
