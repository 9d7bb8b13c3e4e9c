//! A connection of a test that says any command and reads any answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// An answer of Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Nil,
    Number(i64),
    Text(Vec<u8>),
    Error(String),
    Many(Vec<Answer>),
}

impl Answer {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Text(text) => String::from_utf8_lossy(text).into_owned(),
            other => panic!("no text: {other:?}"),
        }
    }

    pub(super) fn number(&self) -> i64 {
        match self {
            Self::Number(number) => *number,
            other => panic!("no number: {other:?}"),
        }
    }

    pub(super) fn many(self) -> Vec<Self> {
        match self {
            Self::Many(many) => many,
            other => panic!("no array: {other:?}"),
        }
    }
}

pub(super) struct Talk {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Talk {
    /// To a server without a password.
    pub(super) fn to(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        Self { stream, reader }
    }

    /// Sends a command of words.
    pub(super) fn say(&mut self, words: &[&str]) -> Answer {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        self.send(&[words]).remove(0)
    }

    /// Sends commands all at once; their answers.
    pub(super) fn send<W: AsRef<[u8]>>(&mut self, commands: &[Vec<W>]) -> Vec<Answer> {
        let mut out = Vec::new();
        for words in commands {
            out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
            for word in words {
                let word = word.as_ref();
                out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
                out.extend_from_slice(word);
                out.extend_from_slice(b"\r\n");
            }
        }
        self.stream.write_all(&out).unwrap();
        commands.iter().map(|_| self.answer()).collect()
    }

    fn answer(&mut self) -> Answer {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        let (sign, rest) = line.trim_end().split_at(1);
        let number = || rest.parse::<i64>().unwrap();
        match sign {
            "+" => Answer::Text(rest.as_bytes().to_vec()),
            "-" => Answer::Error(rest.to_owned()),
            ":" => Answer::Number(number()),
            "$" if number() < 0 => Answer::Nil,
            "$" => {
                let mut text = vec![0; usize::try_from(number()).unwrap() + 2];
                self.reader.read_exact(&mut text).unwrap();
                text.truncate(text.len() - 2);
                Answer::Text(text)
            }
            "*" if number() < 0 => Answer::Nil,
            "*" => Answer::Many((0..number()).map(|_| self.answer()).collect()),
            other => panic!("an answer that begins with {other}"),
        }
    }

    /// Which of these keys are there.
    pub(super) fn there(&mut self, keys: &[&str]) -> Vec<bool> {
        keys.iter().map(|key| self.say(&["EXISTS", key]).number() == 1).collect()
    }
}
