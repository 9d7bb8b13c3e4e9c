//! A generated contract-review cache: documents, analyses and sessions, the same for the same options.
//!
//! Used by `redis2pg demo`, the benches and the tests. Values look like those of a real contract reviewer: a document
//! has about 500 bytes, its analysis about 1,700, and one document in five has a session. It streams: memory stays flat
//! for millions of keys.
//!
//! Owns its own few lines of the Redis protocol, so that it measures nothing of the pipeline; uses nothing of the crate.

mod broken;
mod record;
mod resp;
mod rng;

use record::{Generator, PREFIXES};
use resp::Connection;
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

/// What to generate.
#[derive(Clone, Debug)]
pub struct Options {
    /// Documents that are fine. Each has one analysis; every fifth has a session.
    pub documents: u64,
    /// Other data for another seed.
    pub seed: u64,
    /// Time to live of documents; `None` for ever.
    pub document_ttl: Option<Duration>,
    /// Time to live of analyses; `None` for ever.
    pub analysis_ttl: Option<Duration>,
    /// Time to live of sessions; `None` for ever.
    pub session_ttl: Option<Duration>,
    /// Mixes the shapes that older and newer writers left behind, and ids that are text. Otherwise every record of a
    /// family has the same shape and a UUID for an id.
    pub mixed: bool,
    /// Adds one record of each broken kind; see [`Summary::broken`].
    pub broken: bool,
    /// Keys outside the three families.
    pub other: u64,
}

impl Default for Options {
    /// 1,000 documents of one shape; only sessions expire, after a day.
    fn default() -> Self {
        Self {
            documents: 1_000,
            seed: 1,
            document_ttl: None,
            analysis_ttl: None,
            session_ttl: Some(Duration::from_secs(24 * 3600)),
            mixed: false,
            broken: false,
            other: 0,
        }
    }
}

impl Options {
    /// What the demo shows: shapes mixed, broken records, other keys, and the application's own times to live (an hour
    /// for documents and sessions, a week for analyses).
    pub fn demo(documents: u64) -> Self {
        let hour = Duration::from_secs(3600);
        Self {
            documents,
            document_ttl: Some(hour),
            analysis_ttl: Some(hour * 24 * 7),
            session_ttl: Some(hour),
            mixed: true,
            broken: true,
            other: documents / 10,
            ..Self::default()
        }
    }
}

/// A key that can't be loaded, with the reason that the reject must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenKey {
    /// The key.
    pub key: String,
    /// The reason's code, such as `json_syntax`.
    pub reason: &'static str,
}

/// What a family holds, and so what a migration of it must report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Keys that must be loaded.
    pub load: u64,
    /// Keys that must be rejected, by reason.
    pub reject: BTreeMap<&'static str, u64>,
}

impl Expected {
    /// All keys of the family.
    pub fn keys(&self) -> u64 {
        self.load + self.reject.values().sum::<u64>()
    }
}

/// What [`load`] wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Keys `document:*`.
    pub documents: Expected,
    /// Keys `analysis:*`.
    pub analyses: Expected,
    /// Keys `session:*`.
    pub sessions: Expected,
    /// Keys outside the three families.
    pub other: u64,
    /// The keys that must be rejected.
    pub broken: Vec<BrokenKey>,
    /// Bytes of all keys and values.
    pub bytes: u64,
}

impl Summary {
    /// All keys.
    pub fn keys(&self) -> u64 {
        self.documents.keys() + self.analyses.keys() + self.sessions.keys() + self.other
    }

    fn family(&mut self, key: &str) -> &mut Expected {
        if key.starts_with(PREFIXES.document) {
            &mut self.documents
        } else if key.starts_with(PREFIXES.analysis) {
            &mut self.analyses
        } else {
            &mut self.sessions
        }
    }
}

/// Generates the data set into the Redis at `url` (`redis://` or `redis+unix://`), over what is there already.
///
/// # Errors
/// Where Redis can't be reached or refuses a command; `InvalidInput` for another kind of URL.
pub fn load(url: &str, options: &Options) -> io::Result<Summary> {
    let mut redis = Connection::open(url)?;
    let generator = Generator::new(options);
    let mut summary = Summary::default();
    let mut value = String::with_capacity(4096);
    for index in 0..options.documents {
        let document = generator.document(index);
        generator.document_json(&document, &mut value);
        summary.bytes += redis.set(&document.key(), value.as_bytes(), options.document_ttl)?;
        let key = generator.analysis_json(&document, &mut value);
        summary.bytes += redis.set(&key, value.as_bytes(), options.analysis_ttl)?;
        summary.documents.load += 1;
        summary.analyses.load += 1;
        if index.is_multiple_of(5) {
            let key = generator.session_json(&document, &mut value);
            summary.bytes += redis.set(&key, value.as_bytes(), options.session_ttl)?;
            summary.sessions.load += 1;
        }
    }
    for index in 0..options.other {
        let (key, json) = generator.other(index);
        summary.bytes += redis.set(&key, json.as_bytes(), None)?;
        summary.other += 1;
    }
    if options.broken {
        broken::load(&mut redis, &generator, options, &mut summary)?;
    }
    redis.finish()?;
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn average(options: &Options) -> (usize, usize) {
        let generator = Generator::new(options);
        let mut value = String::new();
        let (mut documents, mut analyses) = (0, 0);
        for index in 0..500 {
            let document = generator.document(index);
            generator.document_json(&document, &mut value);
            serde_json::from_str::<serde_json::Value>(&value).unwrap();
            documents += value.len();
            generator.analysis_json(&document, &mut value);
            serde_json::from_str::<serde_json::Value>(&value).unwrap();
            analyses += value.len();
            generator.session_json(&document, &mut value);
            serde_json::from_str::<serde_json::Value>(&value).unwrap();
        }
        (documents / 500, analyses / 500)
    }

    #[test]
    fn sizes_are_those_of_a_contract_reviewer() {
        let (document, analysis) = average(&Options::default());
        assert!((450..550).contains(&document), "documents of {document} bytes");
        assert!((1_550..1_850).contains(&analysis), "analyses of {analysis} bytes");
        average(&Options::demo(500));
    }

    #[test]
    fn the_same_options_give_the_same_data() {
        let (mut one, mut two) = (String::new(), String::new());
        let (first, second) = (Generator::new(&Options::demo(9)), Generator::new(&Options::demo(9)));
        let key = first.analysis_json(&first.document(7), &mut one);
        assert_eq!(key, second.analysis_json(&second.document(7), &mut two));
        assert_eq!(one, two);
        let other = Generator::new(&Options { seed: 2, ..Options::demo(9) });
        assert_ne!(key, other.analysis_json(&other.document(7), &mut two));
    }
}
