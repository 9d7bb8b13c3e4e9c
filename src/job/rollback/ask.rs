//! Questions of a rollback: each is a transaction of its own that leaves nothing.

use crate::job::link::Link;
use crate::model::Failure;
use crate::sink::LoadOptions;
use crate::sink::undo::{Undo, prepare};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error};

/// The images of a page: those behind the first key, up to the last; `None`: from the beginning, to the end.
pub(super) type Page<'k> = (Option<&'k str>, Option<&'k str>);

/// Asks, with rows and keys spelled as a rollback's own transactions have them; `what` says what could not be done.
///
/// # Errors
/// As [`Link::call`].
pub(super) async fn ask<T>(
    (link, options): (&mut Link, &LoadOptions),
    what: &str,
    question: impl AsyncFn(&mut PgConnection) -> Result<T, Error>,
) -> Result<T, Failure> {
    let work = async |connection: &mut PgConnection| {
        let mut transaction = connection.begin().await?;
        prepare(&mut transaction, options, "redis2pg").await?;
        let answer = question(&mut transaction).await?;
        transaction.rollback().await?;
        Ok::<_, Error>(answer)
    };
    link.call(what, work).await
}

/// Asks of the before-images page by page, since there may be any number of them; gives all answers.
///
/// # Errors
/// As [`ask`].
pub(super) async fn ask_of_images<T>(
    (link, options): (&mut Link, &LoadOptions),
    what: &str,
    undo: Undo<'_>,
    question: impl AsyncFn(&mut PgConnection, Page<'_>) -> Result<Vec<T>, Error>,
) -> Result<Vec<T>, Failure> {
    let (mut all, mut after) = (Vec::new(), None::<String>);
    loop {
        let behind = after.as_deref();
        let of_page = async |connection: &mut PgConnection| {
            let last = undo.page_end(connection, behind).await?;
            let answers = question(connection, (behind, last.as_deref())).await?;
            Ok((last, answers))
        };
        let (last, answers) = ask((link, options), what, of_page).await?;
        all.extend(answers);
        if last.is_none() {
            return Ok(all);
        }
        after = last;
    }
}
