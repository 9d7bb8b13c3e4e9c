//! A bound on waiting for a server that vanished without a word: it answers nothing, its own timeouts included.

use sqlx::Error;
use std::io;
use std::time::Duration;

/// Waits for what was asked of a server, for `within` at most.
///
/// # Errors
/// An I/O error where it stayed silent. The connection is in the middle of something then: it must be given up.
pub async fn answered<T>(within: Option<Duration>, asked: impl Future<Output = T>) -> Result<T, Error> {
    let Some(within) = within else { return Ok(asked.await) };
    tokio::time::timeout(within, asked).await.map_err(|_| {
        let message = "the server does not answer any more";
        Error::Io(io::Error::new(io::ErrorKind::TimedOut, message))
    })
}

#[cfg(test)]
mod tests {
    use super::answered;
    use std::time::Duration;

    #[tokio::test]
    async fn silence_ends_as_an_error_that_passes() {
        let error = answered(Some(Duration::from_millis(3)), std::future::pending::<()>()).await.unwrap_err();
        assert_eq!(crate::postgres::verdict(&error), crate::postgres::Verdict::Transient);
        assert_eq!(answered(None, std::future::ready(7)).await.unwrap(), 7);
    }
}
