//! What keeps a filter from running for ever: every definition counts a step when it is called, and so does every
//! value of `range`. A filter can loop in no other way. jaq itself has no bounds.

use jaq_core::box_iter::box_once;
use jaq_core::native::{Fun, v};
use jaq_core::{Cv, DataT, Error, Exn, Lut, Native};
use jaq_json::{Num, Val};
use std::cell::Cell;

/// How many steps a filter may take on one value. Tests are built without optimisation, and wait for less.
const MAX_STEPS: u32 = if cfg!(test) { 100_000 } else { 10_000_000 };
/// How long a text may become that is repeated by `*`, in bytes.
const MAX_REPEATED: usize = 64 * 1024 * 1024;

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
    /// Where the stack stood when the run began, and how much of it the calls may take.
    stack: (usize, usize),
}

impl Bounds {
    /// The bounds of a run that begins here on the stack, and may take so many bytes of it.
    pub(super) fn here(bytes: usize) -> Self {
        Self { steps: Cell::new(0), exceeded: Cell::new(None), stack: (stack(), bytes) }
    }

    /// Which bound the run went beyond.
    pub(super) fn exceeded(&self) -> Option<&'static str> {
        self.exceeded.get()
    }

    /// Counts a step, and gives back what it was taken with.
    fn step<T>(&self, with: T) -> Result<T, Exn<'static, Val>> {
        let steps = self.steps.get() + 1;
        if steps > MAX_STEPS {
            self.exceeded.set(Some("the filter takes more than 10 million steps"));
        } else {
            self.steps.set(steps);
            if self.stack.0.abs_diff(stack()) > self.stack.1 {
                self.exceeded.set(Some("the filter calls itself too deeply"));
            }
        }
        match self.exceeded.get() {
            Some(bound) => Err(Error::str(bound).into()),
            None => Ok(with),
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
    let step = Native::new(|cv: Cv<'_, Bounded>| box_once(cv.0.data().bounds.step(cv.1)))
        .with_paths(|cv| box_once(cv.0.data().bounds.step(cv.1)))
        .with_update(|cv, update| match cv.0.data().bounds.step(cv.1) {
            Ok(value) => update(value),
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
