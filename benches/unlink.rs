//! How many keys a second are compared and deleted: `cargo bench --bench unlink [-- KEYS]`.
//!
//! Strings of 500 bytes by the script and under a watch, and small hashes under a watch, in batches as a cleanup has them,
//! against a private server on the same machine. Each line is measured twice.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench ends at the first error and prints"
)]

use futures::FutureExt;
use futures::future::BoxFuture;
use redis2pg::model::{ContentDigest, Failure, Packer, RedisKey, RedisType};
use redis2pg::sandbox::{RedisOptions, RedisServer};
use redis2pg::source::redis::{
    Candidate, Content, Fate, Fates, RedisSource, SourceSettings, UnlinkOptions, UnlinkOutcome, Warrant,
};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

const KEYS: usize = 500_000;
/// Candidates that are handed over together.
const BATCH: usize = 5_000;
/// A user that may not run scripts.
const UNSCRIPTED: &str = "unscripted on nopass ~* &* +@all -eval";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    String,
    /// With a time of expiry that is compared.
    Expiring,
    Hash,
}

fn value(n: usize) -> String {
    format!("{{\"id\":{n},\"text\":\"{}\"}}", "lorem ipsum ".repeat(40)).chars().take(500).collect()
}

/// Makes the keys, some thousand commands at a time.
fn fill(port: u16, kind: Kind, keys: usize) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut answers = vec![0; 1 << 16];
    for first in (0..keys).step_by(BATCH) {
        let (mut out, last) = (Vec::new(), (first + BATCH).min(keys));
        for n in first..last {
            let (key, value) = (format!("key:{n}"), value(n));
            let words: Vec<&str> = match kind {
                Kind::String => vec!["SET", &key, &value],
                Kind::Expiring => vec!["SET", &key, &value, "PXAT", "4000000000000"],
                Kind::Hash => vec!["HSET", &key, "id", "17", "name", "somebody", "city", "somewhere", "text", "lorem"],
            };
            out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
            words.iter().for_each(|word| out.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes()));
        }
        stream.write_all(&out).unwrap();
        let mut lines = 0;
        while lines < last - first {
            let count = stream.read(&mut answers).unwrap();
            lines += answers[..count].iter().filter(|byte| **byte == b'\n').count();
        }
    }
}

fn candidate(kind: Kind, n: usize) -> Candidate {
    let items = ["id", "17", "name", "somebody", "city", "somewhere", "text", "lorem"];
    let packed = items.iter().map(|item| item.as_bytes()).collect::<Packer>().finish();
    let (redis_type, content) = match kind {
        Kind::Hash => (RedisType::Hash, Content::Digest(ContentDigest::of(RedisType::Hash, &packed))),
        _ => (RedisType::String, Content::Exact(value(n).into())),
    };
    let expires_at = (kind == Kind::Expiring).then_some(Some(4_000_000_000_000));
    Candidate { key: RedisKey::new(format!("key:{n}")), redis_type, expires_at, content }
}

/// A right to delete that does not end.
struct Always;

impl Warrant for Always {
    fn sure(&self) -> BoxFuture<'_, Result<(), Failure>> {
        std::future::ready(Ok(())).boxed()
    }

    fn is_fresh(&self) -> bool {
        true
    }

    fn interruptions(&self) -> u64 {
        0
    }
}

async fn measure(server: &RedisServer, label: &str, (kind, user): (Kind, &str), keys: usize) {
    fill(server.port(), kind, keys);
    let url = format!("redis://{user}127.0.0.1:{}", server.port());
    let source = RedisSource::connect(&SourceSettings::new(url), None).await.unwrap();
    let unlinker = source.unlinker(UnlinkOptions::default()).await.unwrap();
    let candidates: Vec<Candidate> = (0..keys).map(|n| candidate(kind, n)).collect();
    let started = Instant::now();
    for batch in candidates.chunks(BATCH) {
        let fates = Fates::of(batch.len());
        unlinker.unlink(batch, &Always, &fates).await.unwrap();
        assert!(fates.known().into_iter().all(|fate| fate == Fate::Told(UnlinkOutcome::Deleted)), "{label}");
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{label:<48} {:>9.0} keys/s", keys as f64 / seconds);
}

#[tokio::main]
async fn main() {
    let given = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let keys: usize = given.unwrap_or(KEYS);
    let options =
        RedisOptions { password: Some(String::new()), acl: vec![UNSCRIPTED.to_owned()], ..RedisOptions::default() };
    let server = RedisServer::start(options).unwrap();
    for _ in 0..2 {
        measure(&server, "strings by script", (Kind::String, ""), keys).await;
        measure(&server, "strings by script, expiry compared", (Kind::Expiring, ""), keys).await;
        measure(&server, "strings under a watch", (Kind::String, "unscripted:x@"), keys).await;
        measure(&server, "hashes of 4 fields under a watch", (Kind::Hash, ""), keys).await;
    }
}
