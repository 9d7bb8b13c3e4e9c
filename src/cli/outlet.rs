//! What a command that did something writes to: a reader that goes, or a disk that is full, changes nothing of what came of it.

use std::io::{self, ErrorKind, Write};

/// Writes until that fails, and swallows the rest.
pub(super) struct Outlet<'a> {
    to: &'a mut dyn Write,
    /// Why it writes no more.
    pub(super) failed: Option<io::Error>,
}

impl<'a> Outlet<'a> {
    pub(super) fn new(to: &'a mut dyn Write) -> Self {
        Self { to, failed: None }
    }

    /// What it writes to, for who wants to know of failures.
    pub(super) fn to(&mut self) -> &mut dyn Write {
        self.to
    }

    /// What a step came to; a failure is noted, and taken for `done`.
    fn noted<T>(&mut self, step: io::Result<T>, done: T) -> io::Result<T> {
        match step {
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                self.failed = Some(error);
                Ok(done)
            }
            step => step,
        }
    }
}

impl Write for Outlet<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.failed.is_some() {
            return Ok(bytes.len());
        }
        let written = self.to.write(bytes);
        self.noted(written, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.failed.is_some() {
            return Ok(());
        }
        let flushed = self.to.flush();
        self.noted(flushed, ())
    }
}

#[cfg(test)]
mod tests {
    use super::Outlet;
    use std::io::{self, Write};

    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_cannot_be_written_is_told_once_and_ends_nothing() {
        let mut full = Full(4);
        let mut outlet = Outlet::new(&mut full);
        for text in ["ab", "cd", "ef", "gh"] {
            assert!(write!(outlet, "{text}").is_ok());
        }
        assert_eq!(outlet.failed.map(|error| error.kind()), Some(io::ErrorKind::StorageFull));
    }
}
