//! COPY in binary form: rows that are bytes already are joined into chunks and sent.
//!
//! Format: PostgreSQL documentation, COPY, "Binary Format": an 11-byte signature, flags, the length of a header
//! extension, then for each tuple an `i16` column count and the fields, then −1.

use crate::model::{Row, Shape, Stored};
use sqlx::Error;
use sqlx::postgres::{PgConnection, PgCopyIn};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: &[u8] = &(-1_i16).to_be_bytes();

/// Chunks of this size keep the driver's buffer small and the system calls few.
const CHUNK: usize = 128 * 1024;

type Copy<'c> = PgCopyIn<&'c mut PgConnection>;

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
    let mut copy = begin(connection, buffer, statement).await?;
    for (number, row) in rows.iter().enumerate() {
        push_head(&mut buffer.0, row.shape.columns(), numbered.then_some(number));
        let (head, tail) = row.around_splice();
        buffer.0.extend_from_slice(head);
        copy = send_spliced(copy, buffer, row).await?;
        buffer.0.extend_from_slice(tail);
        flush_full(&mut copy, buffer).await?;
    }
    end(copy, buffer).await
}

/// Sends `rows` as [`copy_rows`] does, each with all of `columns`: those that it lacks are NULL.
///
/// With `numbered`, the row's place is followed by an `int8`: its shape.
///
/// # Errors
/// As [`copy_tuples`].
pub async fn copy_mixed_rows(
    connection: &mut PgConnection,
    buffer: &mut CopyBuffer,
    statement: &str,
    (rows, columns): (&[&Row], Shape),
    numbered: bool,
) -> Result<u64, Error> {
    let mut copy = begin(connection, buffer, statement).await?;
    let count = columns.columns() + u32::from(numbered);
    for (number, row) in rows.iter().enumerate() {
        push_head(&mut buffer.0, count, numbered.then_some(number));
        if numbered {
            buffer.0.extend_from_slice(&8_i32.to_be_bytes());
            buffer.0.extend_from_slice(&row.shape.0.to_be_bytes());
        }
        for (field, is_spliced) in row.fields_among(columns) {
            buffer.0.extend_from_slice(field);
            if is_spliced {
                copy = send_spliced(copy, buffer, row).await?;
            }
        }
        flush_full(&mut copy, buffer).await?;
    }
    end(copy, buffer).await
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
    let mut copy = begin(connection, buffer, statement).await?;
    for tuple in tuples {
        push(&mut buffer.0, tuple);
        flush_full(&mut copy, buffer).await?;
    }
    end(copy, buffer).await
}

/// Appends a field that is not NULL: its length, and its bytes. At most 2 GB, which no key and no value of Redis reaches: 512 MB is its
/// own limit.
pub fn push_field(chunk: &mut Vec<u8>, bytes: &[u8]) {
    chunk.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
    chunk.extend_from_slice(bytes);
}

async fn begin<'c>(
    connection: &'c mut PgConnection,
    buffer: &mut CopyBuffer,
    statement: &str,
) -> Result<Copy<'c>, Error> {
    let copy = connection.copy_in_raw(statement).await?;
    buffer.0.clear();
    buffer.0.extend_from_slice(HEADER);
    Ok(copy)
}

async fn flush_full(copy: &mut Copy<'_>, buffer: &mut CopyBuffer) -> Result<(), Error> {
    if buffer.0.len() >= CHUNK {
        copy.send(buffer.0.as_slice()).await?;
        buffer.0.clear();
    }
    Ok(())
}

async fn end(mut copy: Copy<'_>, buffer: &mut CopyBuffer) -> Result<u64, Error> {
    buffer.0.extend_from_slice(TRAILER);
    copy.send(buffer.0.as_slice()).await?;
    buffer.0.clear();
    copy.finish().await
}

/// Sends what is spliced into a row's fields, from memory or from its file.
async fn send_spliced<'c>(mut copy: Copy<'c>, buffer: &mut CopyBuffer, row: &Row) -> Result<Copy<'c>, Error> {
    if let Some(stored) = &row.stored {
        return send_stored(copy, buffer, stored).await;
    }
    send_piece(&mut copy, buffer, row.spliced()).await?;
    Ok(copy)
}

/// Sends a piece of any length: a long one goes past the buffer in chunks, since neither the buffer nor the driver's
/// would ever give back what they grew by.
async fn send_piece(copy: &mut Copy<'_>, buffer: &mut CopyBuffer, piece: &[u8]) -> Result<(), Error> {
    if piece.len() <= CHUNK {
        buffer.0.extend_from_slice(piece);
        return Ok(());
    }
    copy.send(buffer.0.as_slice()).await?;
    buffer.0.clear();
    for chunk in piece.chunks(CHUNK) {
        copy.send(chunk).await?;
    }
    Ok(())
}

/// Sends a value from its file, a chunk at a time. A file that cannot be read ends the COPY.
async fn send_stored<'c>(mut copy: Copy<'c>, buffer: &mut CopyBuffer, stored: &Arc<Stored>) -> Result<Copy<'c>, Error> {
    let mut at = 0;
    while at < stored.len {
        copy.send(buffer.0.as_slice()).await?;
        let chunk = std::mem::take(&mut buffer.0);
        match read_chunk(stored.clone(), at, chunk).await {
            Ok(chunk) => buffer.0 = chunk,
            Err(error) => {
                copy.abort("a value could not be read back").await?;
                return Err(error);
            }
        }
        at += buffer.0.len() as u64;
    }
    Ok(copy)
}

/// The bytes of a stored value from `at` on, as many as make a chunk. Waits for the disk where nobody else does.
async fn read_chunk(stored: Arc<Stored>, at: u64, mut chunk: Vec<u8>) -> Result<Vec<u8>, Error> {
    let read = move || {
        chunk.resize(usize::try_from(stored.len - at).unwrap_or(CHUNK).min(CHUNK), 0);
        stored.file.read_exact_at(&mut chunk, at).map(|()| chunk)
    };
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(io::Error::other).and_then(|read| read).map_err(|error| {
        let message = format!("the temporary file of a large value could not be read back: {error}");
        Error::Io(io::Error::new(error.kind(), message))
    })
}

/// What leads a tuple: its column count, and its place in the batch.
fn push_head(chunk: &mut Vec<u8>, columns: u32, number: Option<usize>) {
    // At most 64 columns, a number and a shape: the casts cannot cut anything off.
    let columns = columns as i16 + i16::from(number.is_some());
    chunk.extend_from_slice(&columns.to_be_bytes());
    if let Some(number) = number {
        chunk.extend_from_slice(&4_i32.to_be_bytes());
        chunk.extend_from_slice(&(number as i32).to_be_bytes());
    }
}
