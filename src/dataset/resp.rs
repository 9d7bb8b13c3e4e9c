//! Just enough of the Redis protocol to write many keys quickly: commands are sent in large pieces, and the answers to
//! one piece are read while the server works on the next.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use url::Url;

/// Bytes sent at a time. The answers to so many commands fit into any socket's buffer.
const PIECE: usize = 256 * 1024;

/// A connection that pipelines writes.
pub(super) struct Connection {
    writer: Box<dyn Write>,
    reader: BufReader<Box<dyn Read>>,
    buffer: Vec<u8>,
    buffered: u64,
    in_flight: u64,
    line: String,
}

impl Connection {
    /// Connects, authenticates and selects the database as the URL says.
    pub(super) fn open(url: &str) -> io::Result<Self> {
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
        let parsed = Url::parse(url).map_err(|error| invalid(&format!("not a Redis URL: {error}")))?;
        let mut redis = match parsed.scheme() {
            "redis" => {
                let host = parsed.host_str().unwrap_or("127.0.0.1").trim_matches(['[', ']']);
                let stream = TcpStream::connect((host, parsed.port().unwrap_or(6379)))?;
                stream.set_nodelay(true)?;
                Self::new(Box::new(stream.try_clone()?), Box::new(stream))
            }
            "redis+unix" => {
                let stream = UnixStream::connect(parsed.path())?;
                Self::new(Box::new(stream.try_clone()?), Box::new(stream))
            }
            other => return Err(invalid(&format!("can't generate into a '{other}' URL, only redis and redis+unix"))),
        };
        if let Some(password) = parsed.password() {
            let (user, password) = (decode(parsed.username()), decode(password));
            if user.is_empty() {
                redis.command(&[b"AUTH", &password])?;
            } else {
                redis.command(&[b"AUTH", &user, &password])?;
            }
        }
        let database = if parsed.scheme() == "redis" { parsed.path().trim_start_matches('/') } else { "" };
        if !database.is_empty() {
            redis.command(&[b"SELECT", database.as_bytes()])?;
        }
        redis.finish()?;
        Ok(redis)
    }

    fn new(writer: Box<dyn Write>, reader: Box<dyn Read>) -> Self {
        let buffer = Vec::with_capacity(PIECE + 64 * 1024);
        Self { writer, reader: BufReader::new(reader), buffer, buffered: 0, in_flight: 0, line: String::new() }
    }

    /// Sets a string; gives the bytes of key and value.
    pub(super) fn set(&mut self, key: &str, value: &[u8], ttl: Option<Duration>) -> io::Result<u64> {
        match ttl {
            Some(ttl) => self.command(&[b"SET", key.as_bytes(), value, b"PX", millis(ttl).as_bytes()])?,
            None => self.command(&[b"SET", key.as_bytes(), value])?,
        }
        Ok((key.len() + value.len()) as u64)
    }

    /// Sets a hash of one field; gives the bytes of key, field and value.
    pub(super) fn hash(&mut self, key: &str, field: &str, value: &str, ttl: Option<Duration>) -> io::Result<u64> {
        self.command(&[b"DEL", key.as_bytes()])?;
        self.command(&[b"HSET", key.as_bytes(), field.as_bytes(), value.as_bytes()])?;
        if let Some(ttl) = ttl {
            self.command(&[b"PEXPIRE", key.as_bytes(), millis(ttl).as_bytes()])?;
        }
        Ok((key.len() + field.len() + value.len()) as u64)
    }

    /// Sends what is left and reads all answers.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.send()?;
        self.read_answers(self.in_flight)
    }

    /// Queues a command whose answer is one line.
    fn command(&mut self, words: &[&[u8]]) -> io::Result<()> {
        self.put(format_args!("*{}\r\n", words.len()))?;
        for word in words {
            self.put(format_args!("${}\r\n", word.len()))?;
            self.buffer.extend_from_slice(word);
            self.buffer.extend_from_slice(b"\r\n");
        }
        self.buffered += 1;
        if self.buffer.len() < PIECE {
            return Ok(());
        }
        let earlier = self.in_flight;
        self.send()?;
        self.read_answers(earlier)
    }

    fn put(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
        self.buffer.write_fmt(text)
    }

    fn send(&mut self) -> io::Result<()> {
        self.writer.write_all(&self.buffer)?;
        self.buffer.clear();
        self.in_flight += std::mem::take(&mut self.buffered);
        Ok(())
    }

    fn read_answers(&mut self, count: u64) -> io::Result<()> {
        for _ in 0..count {
            self.line.clear();
            if self.reader.read_line(&mut self.line)? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "Redis closed the connection"));
            }
            if let Some(error) = self.line.strip_prefix('-') {
                return Err(io::Error::other(format!("Redis refused a command: {}", error.trim_end())));
            }
            self.in_flight -= 1;
        }
        Ok(())
    }
}

/// Milliseconds, at least one: Redis takes no shorter time to live.
fn millis(ttl: Duration) -> String {
    ttl.as_millis().max(1).to_string()
}

/// Undoes %XX. What is no escape stays as it is.
fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match hex {
            Some(value) if byte == b'%' => {
                out.push(value);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn escapes_in_passwords_are_undone() {
        assert_eq!(decode("a%40b%2fc%é%4"), "a@b/c%é%4".as_bytes());
    }
}
