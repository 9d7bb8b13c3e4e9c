//! A pattern as an automaton that reads a key byte by byte: what is needed to reason about all keys at once.
//!
//! A key is read in one way only, but where a capture ends is known only after what follows was read, so that there may
//! be several states at a time.

use super::language::{Delimiter, Language};
use super::letters::Letters;
use super::shape::{Regex, UUID};
use super::{Capture, Part, Pattern, Reach};

/// The slot of the capture that a byte belongs to.
type Owner = Option<usize>;

#[derive(Debug)]
enum Step {
    Byte(u8),
    Uuid {
        form: u8,
        slot: usize,
    },
    Int {
        slot: usize,
    },
    /// A text, and what ends it.
    Until {
        text: Language,
        end: Delimiter,
        slot: usize,
    },
    /// All the rest, without the separator in it where there is one.
    Rest {
        text: Language,
        without: Option<Delimiter>,
        slot: usize,
    },
}

impl Pattern {
    /// Whether it is known which texts all its captures may hold.
    pub(super) fn is_known(&self) -> bool {
        let unknown = |regex: &Regex| matches!(regex.language(), Language::Unknown);
        !self.parts.iter().any(|part| matches!(part, Part::Capture(c) if c.regex.as_ref().is_some_and(unknown)))
    }
}

/// How far a key was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct State {
    step: usize,
    /// The state of the step's language.
    text: u32,
    /// How much of the step's delimiter the bytes so far end with.
    read: usize,
    /// How much of the delimiter was read since the capture's end.
    ended: usize,
    /// Whether the capture has a byte.
    begun: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Automaton {
    steps: Vec<Step>,
    /// Whether a capture may take nothing.
    empty: bool,
}

impl Automaton {
    /// The automaton of a pattern; `empty` says whether keys count in which a capture takes nothing.
    pub(super) fn new(pattern: &Pattern, empty: bool) -> Self {
        let mut steps = Vec::new();
        // Of the literal after a capture, what belongs to its delimiter is part of that step.
        let mut skip = 0;
        for part in &pattern.parts {
            match part {
                Part::Literal(literal) => {
                    steps.extend(literal.bytes().skip(std::mem::take(&mut skip)).map(Step::Byte));
                }
                Part::Capture(capture) => skip = push(&mut steps, capture),
            }
        }
        Self { steps, empty }
    }

    pub(super) fn start(&self) -> State {
        self.enter(0)
    }

    fn enter(&self, step: usize) -> State {
        let text = match self.steps.get(step) {
            Some(Step::Until { text, .. } | Step::Rest { text, .. }) => text.start(),
            _ => 0,
        };
        State { step, text, ..State::default() }
    }

    /// The states after one more byte, each with the capture that the byte belongs to.
    pub(super) fn next(&self, state: State, byte: u8, out: &mut Vec<(State, Owner)>) {
        let enter = || self.enter(state.step + 1);
        match self.steps.get(state.step) {
            Some(Step::Byte(wanted)) if *wanted == byte => out.push((enter(), None)),
            Some(Step::Uuid { form, slot }) => {
                let fits = if *form == b'-' { byte == b'-' } else { byte.is_ascii_hexdigit() };
                out.extend(fits.then(|| (enter(), Some(*slot))));
            }
            // 0: nothing was read; 1: the sign; 2: a digit.
            Some(Step::Int { slot }) => match (state.text, byte) {
                (0, b'-') => out.push((State { text: 1, ..state }, Some(*slot))),
                (_, b'0'..=b'9') => out.push((State { text: 2, ..state }, Some(*slot))),
                (2, _) => self.next(enter(), byte, out),
                _ => {}
            },
            Some(Step::Until { text, end, slot }) => self.until(state, byte, (text, end, *slot), out),
            Some(Step::Rest { text, without, slot }) => {
                let read = without.as_ref().map_or(0, |without| without.next(state.read, byte));
                let separates = without.as_ref().is_some_and(|without| without.is_whole(read));
                if let (false, Some(text)) = (separates, text.next(state.text, byte)) {
                    out.push((State { text, read, begun: true, ..state }, Some(*slot)));
                }
            }
            Some(Step::Byte(_)) | None => {}
        }
    }

    fn until(
        &self,
        state: State,
        byte: u8,
        (text, end, slot): (&Language, &Delimiter, usize),
        out: &mut Vec<(State, Owner)>,
    ) {
        let read = end.next(state.read, byte);
        if state.ended == 0
            && !end.is_whole(read)
            && let Some(text) = text.next(state.text, byte)
        {
            out.push((State { text, read, begun: true, ..state }, Some(slot)));
        }
        let may_end = state.ended > 0 || text.accepts(state.text) && (self.empty || state.begun);
        if may_end && end.text.get(state.ended) == Some(&byte) {
            let ended = state.ended + 1;
            if end.is_whole(ended) {
                out.push((self.enter(state.step + 1), None));
            } else if !end.is_whole(read) {
                out.push((State { read, ended, ..state }, None));
            }
        }
    }

    /// Whether the key may end here.
    pub(super) fn accepts(&self, state: State) -> bool {
        if state.step + 1 < self.steps.len() {
            return false;
        }
        match self.steps.get(state.step) {
            None => true,
            Some(Step::Int { .. }) => state.text == 2,
            Some(Step::Rest { text, .. }) => text.accepts(state.text) && (self.empty || state.begun),
            Some(_) => false,
        }
    }

    /// Tells bytes apart that it does not treat alike, by giving them different numbers.
    pub(super) fn tell_apart(&self, letters: &mut Letters) {
        for step in &self.steps {
            match step {
                Step::Byte(byte) => letters.refine(|b| u32::from(b == *byte)),
                Step::Uuid { .. } => letters.refine(|b| u32::from(b.is_ascii_hexdigit()) + 2 * u32::from(b == b'-')),
                Step::Int { .. } => letters.refine(|b| u32::from(b.is_ascii_digit()) + 2 * u32::from(b == b'-')),
                Step::Until { text, end, .. } => letters.tell_apart(text, Some(end)),
                Step::Rest { text, without, .. } => letters.tell_apart(text, without.as_ref()),
            }
        }
    }
}

/// Adds the steps of a capture; gives how many bytes of the literal behind it are among them.
fn push(steps: &mut Vec<Step>, capture: &Capture) -> usize {
    let slot = capture.slot;
    let text = capture.regex.as_ref().map_or(Language::Any, |regex| regex.language().clone());
    match &capture.reach {
        Reach::Until(end) => {
            steps.push(Step::Until { text, end: Delimiter::new(end.needle()), slot });
            return end.needle().len();
        }
        Reach::Segment(without) => {
            steps.push(Step::Rest { text, without: Some(Delimiter::new(without.needle())), slot });
        }
        Reach::Rest => steps.push(Step::Rest { text, without: None, slot }),
        Reach::Uuid => steps.extend(UUID.iter().map(|form| Step::Uuid { form: *form, slot })),
        Reach::Int => steps.push(Step::Int { slot }),
    }
    0
}

#[cfg(test)]
mod tests {
    use super::Automaton;
    use crate::mapping::pattern::Pattern;

    fn takes(automaton: &Automaton, key: &[u8]) -> bool {
        let mut states = vec![automaton.start()];
        for byte in key {
            let mut next = Vec::new();
            states.iter().for_each(|state| automaton.next(*state, *byte, &mut next));
            states = next.into_iter().map(|(state, _)| state).collect();
        }
        states.iter().any(|state| automaton.accepts(*state))
    }

    #[test]
    fn an_automaton_takes_what_its_pattern_takes() {
        let keys =
            ["", "x", "a:b", "a:b:c", "x-y-z", "x-y--z", "aab", "aaab", "5-3", "-5--3", "a:1", "a:", ":a", "ab:ab"];
        for text in [
            "",
            "a:{x}",
            "{x}:b",
            "{x}-{y}",
            "{x}--{y}",
            "{x}aab{y}",
            "{x}ab{y..}",
            "{x:int}-{y:int}",
            "a:{x:/[0-9]*/}",
            "{x:/[a-y]+/}-{y..}",
        ] {
            let pattern = Pattern::parse(text).unwrap();
            let (all, full) = (Automaton::new(&pattern, true), Automaton::new(&pattern, false));
            for key in keys {
                let read = pattern.captures(key.as_bytes());
                assert_eq!(takes(&all, key.as_bytes()), read.is_some(), "{text} on {key}");
                let is_full = read.is_some_and(|captures| !captures.any_empty());
                assert_eq!(takes(&full, key.as_bytes()), is_full, "{text} on {key}, without empty captures");
            }
        }
    }
}
