//! RESP2 as a server speaks it: reading commands, and the text of replies.

use std::io::BufRead;

/// The next command; `None` once the other side has hung up.
pub(super) fn command(reader: &mut impl BufRead) -> Option<Vec<String>> {
    let count = length(reader, '*')?;
    (0..count)
        .map(|_| {
            let mut word = vec![0; length(reader, '$')? + 2];
            reader.read_exact(&mut word).ok()?;
            word.truncate(word.len() - 2);
            // A key that is no text is nobody's in the keyspace.
            Some(String::from_utf8_lossy(&word).into_owned())
        })
        .collect()
}

fn length(reader: &mut impl BufRead, sign: char) -> Option<usize> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    line.trim().strip_prefix(sign)?.parse().ok()
}

/// A bulk string.
pub(crate) fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

/// An array of replies.
pub(crate) fn array(replies: &[String]) -> String {
    format!("*{}\r\n{}", replies.len(), replies.concat())
}

/// An answer to INFO of a server with that run id.
pub(crate) fn info(run_id: &str) -> String {
    bulk(&format!("# Server\r\nredis_version:7.2.0\r\nrun_id:{run_id}\r\n"))
}

/// An answer to SCAN.
pub(crate) fn page(cursor: &str, keys: &[&str]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| bulk(key)).collect();
    array(&[bulk(cursor), array(&keys)])
}
