//! What the columns of a row do not give back of its value.

use super::Shape;

/// Told by an encoder that is asked for losses: a column's type keeps less than the value says. A number is not the one that was given,
/// by the digits that the server shows; a moment has digits below the microsecond; a char(n) ends in blanks.
pub const ROUNDED: &str = "rounded";

/// Told by an encoder that is asked for losses: the server alone reads the value, in its own way.
pub const SERVER_READS: &str = "server_reads";

/// The columns of a row that do not give back what its value says, or may not; none where that is not asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Those whose types keep less: see [`ROUNDED`].
    pub rounded: Shape,
    /// Those that only the server reads: see [`SERVER_READS`].
    pub server_reads: Shape,
}

impl Losses {
    /// Takes in what an encoder tells of a column; `false`: that is no loss.
    pub fn take(&mut self, note: &'static str, column: usize) -> bool {
        let columns = match note {
            ROUNDED => &mut self.rounded,
            SERVER_READS => &mut self.server_reads,
            _ => return false,
        };
        columns.0 |= 1 << column;
        true
    }
}
