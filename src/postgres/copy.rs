//! COPY in binary form: rows that are bytes already are joined into chunks and sent.
//!
//! Format: PostgreSQL documentation, COPY, "Binary Format": an 11-byte signature, flags, the length of a header
//! extension, then for each tuple an `i16` column count and the fields, then −1.

use crate::model::Row;
use sqlx::Error;
use sqlx::postgres::PgConnection;

const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: &[u8] = &(-1_i16).to_be_bytes();

/// Chunks of this size keep the driver's buffer small and the system calls few.
const CHUNK: usize = 128 * 1024;

/// A buffer for the chunk being put together, kept from one COPY to the next.
#[derive(Default)]
pub struct CopyBuffer(Vec<u8>);

/// Sends `rows`, which all have the same columns, with the statement `COPY … FROM STDIN (FORMAT binary)`.
///
/// With `numbered`, each tuple is led by an `int4`: the row's place in `rows`.
///
/// # Errors
/// As [`copy_tuples`].
pub async fn copy_rows(
    connection: &mut PgConnection,
    buffer: &mut CopyBuffer,
    statement: &str,
    rows: &[&Row],
    numbered: bool,
) -> Result<u64, Error> {
    let numbers = rows.iter().enumerate();
    copy_tuples(connection, buffer, statement, numbers, |chunk, (number, row)| {
        push_tuple(chunk, row, numbered.then_some(number));
    })
    .await
}

/// Sends tuples, each of which `push` appends whole, its leading column count included.
///
/// # Errors
/// The server's, from `finish`: a send never reports one. After a server error the connection is in order, its
/// transaction is not. After an I/O error the connection is lost.
pub async fn copy_tuples<T>(
    connection: &mut PgConnection,
    buffer: &mut CopyBuffer,
    statement: &str,
    tuples: impl Iterator<Item = T>,
    push: impl Fn(&mut Vec<u8>, T),
) -> Result<u64, Error> {
    let mut copy = connection.copy_in_raw(statement).await?;
    let chunk = &mut buffer.0;
    chunk.clear();
    chunk.extend_from_slice(HEADER);
    for tuple in tuples {
        push(chunk, tuple);
        if chunk.len() >= CHUNK {
            copy.send(chunk.as_slice()).await?;
            chunk.clear();
        }
    }
    chunk.extend_from_slice(TRAILER);
    copy.send(chunk.as_slice()).await?;
    chunk.clear();
    copy.finish().await
}

fn push_tuple(chunk: &mut Vec<u8>, row: &Row, number: Option<usize>) {
    // At most 64 columns and a number: the casts cannot cut anything off.
    let columns = row.shape.columns() as i16 + i16::from(number.is_some());
    chunk.extend_from_slice(&columns.to_be_bytes());
    if let Some(number) = number {
        chunk.extend_from_slice(&4_i32.to_be_bytes());
        chunk.extend_from_slice(&(number as i32).to_be_bytes());
    }
    row.push_encoded(chunk);
}
