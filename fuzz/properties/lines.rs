//! An input as lines of settings with a rest behind them.

use std::borrow::Cow;

/// Takes the first `N` lines off; a line that is missing is empty. What follows them is given as it is.
pub(crate) fn take<const N: usize>(data: &[u8]) -> ([Cow<'_, str>; N], &[u8]) {
    let mut rest = data;
    let lines = std::array::from_fn(|_| {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let line = String::from_utf8_lossy(&rest[..end]);
        rest = rest.get(end + 1..).unwrap_or_default();
        line
    });
    (lines, rest)
}
