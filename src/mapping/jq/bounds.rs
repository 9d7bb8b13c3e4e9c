//! What keeps a filter from running for ever and from filling the stack: a step is counted for every call of a
//! definition, every round of `reduce` and `foreach`, every value of `range`, and every array and object that is built.
//! A filter can loop in no other way. jaq itself has no bounds.

use super::depth;
use jaq_core::box_iter::box_once;
use jaq_core::native::{Fun, v};
use jaq_core::{Cv, DataT, Error, Exn, Lut, Native};
use jaq_json::{Num, Val};
use std::cell::Cell;

/// How many steps a filter may take on one value. Tests are built without optimisation, and wait for less.
const MAX_STEPS: u32 = if cfg!(test) { 100_000 } else { 10_000_000 };
/// How long a text may become that is repeated by `*`, in bytes.
const MAX_REPEATED: usize = 64 * 1024 * 1024;

/// What is said of a value with too many levels.
pub(super) const NESTED: &str = "the filter nests arrays or objects too deeply";

/// The filter that counts a step; its name cannot be written in jq.
pub(super) const STEP: &str = "!step";
/// The filter behind `*`, which bounds how often a text is repeated.
pub(super) const TIMES: &str = "!times";

/// The kind of filters whose steps are counted.
pub(super) struct Bounded;

impl DataT for Bounded {
    type V<'a> = Val;
    type Data<'a> = Run<'a>;
}

/// What a filter has at hand while it runs.
#[derive(Clone)]
pub(super) struct Run<'a> {
    lut: &'a Lut<Bounded>,
    bounds: &'a Bounds,
}

impl<'a> Run<'a> {
    pub(super) fn new(lut: &'a Lut<Bounded>, bounds: &'a Bounds) -> Self {
        Self { lut, bounds }
    }
}

impl<'a> jaq_core::data::HasLut<'a, Bounded> for Run<'a> {
    fn lut(&self) -> &'a Lut<Bounded> {
        self.lut
    }
}

/// What one run of a filter has used up.
pub(super) struct Bounds {
    steps: Cell<u32>,
    exceeded: Cell<Option<&'static str>>,
    /// Where the stack stood when the run began.
    stack: usize,
    room: Room,
}

/// What the thread of a run has room for: jaq goes down into calls and values by calling itself.
#[derive(Clone, Copy)]
pub(super) struct Room {
    /// How much of the stack the calls may take, in bytes.
    pub(super) calls: usize,
    /// How deep values may be nested.
    pub(super) levels: usize,
}

impl Bounds {
    /// The bounds of a run that begins here on the stack.
    pub(super) fn here(room: Room) -> Self {
        Self { steps: Cell::new(0), exceeded: Cell::new(None), stack: stack(), room }
    }

    /// Which bound the run went beyond.
    pub(super) fn exceeded(&self) -> Option<&'static str> {
        self.exceeded.get()
    }

    /// Whether a value that the filter gives has too many levels. It is refused then like one that was met on the way.
    pub(super) fn too_deep(&self, value: &Val) -> bool {
        depth::deeper(value, self.room.levels)
    }

    /// Counts a step.
    fn step(&self, value: &Val) -> Result<(), Exn<'static, Val>> {
        let steps = self.steps.get() + 1;
        if steps > MAX_STEPS {
            self.exceeded.set(Some("the filter takes more than 10 million steps"));
        } else {
            self.steps.set(steps);
            if self.stack.abs_diff(stack()) > self.room.calls {
                self.exceeded.set(Some("the filter calls itself too deeply"));
            } else if depth::seems_deeper(value, self.room.levels) {
                self.exceeded.set(Some(NESTED));
            }
        }
        match self.exceeded.get() {
            Some(bound) => Err(Error::str(bound).into()),
            None => Ok(()),
        }
    }
}

/// About where the stack stands.
fn stack() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(&here).addr()
}

/// The filters that count steps and bound repetition.
pub(super) fn funs() -> [Fun<Bounded>; 2] {
    let step = Native::new(|cv: Cv<'_, Bounded>| box_once(cv.0.data().bounds.step(&cv.1).map(|()| cv.1)))
        .with_paths(|cv| box_once(cv.0.data().bounds.step(&cv.1.0).map(|()| cv.1)))
        .with_update(|cv, update| match cv.0.data().bounds.step(&cv.1) {
            Ok(()) => update(cv.1),
            Err(error) => box_once(Err(error)),
        });
    let times = Native::new(|mut cv: Cv<'_, Bounded>| {
        let (right, left) = (cv.0.pop_var(), cv.0.pop_var());
        box_once(times(left, right).map_err(Exn::from))
    });
    [(STEP, v(0), step), (TIMES, v(2), times)]
}

fn times(left: Val, right: Val) -> Result<Val, Error<Val>> {
    if let (Val::TStr(text) | Val::BStr(text), Val::Num(times)) | (Val::Num(times), Val::TStr(text) | Val::BStr(text)) =
        (&left, &right)
        && repeated(text.len(), times) > MAX_REPEATED as f64
    {
        return Err(Error::str("a text would be repeated too often"));
    }
    left * right
}

fn repeated(length: usize, times: &Num) -> f64 {
    let times =
        times.as_isize().map_or_else(|| times.to_string().parse().unwrap_or(f64::INFINITY), |times| times as f64);
    length as f64 * times
}
