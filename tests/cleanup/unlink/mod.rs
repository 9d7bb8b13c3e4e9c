//! The comparison and the deletion of keys, on real servers.

mod failures;
mod full;
mod kinds;
mod moments;
mod rights;
mod scene;
mod talk;
mod together;
mod warrant;
mod writer;

use futures::FutureExt;
use futures::future::BoxFuture;
use redis2pg::model::{ContentDigest, Failure, RedisKey, RedisType};
use redis2pg::sandbox::{RedisOptions, RedisServer};
use redis2pg::source::redis::{
    Candidate, Content, Fate, Fates, RedisSource, SourceSettings, UnlinkOptions, UnlinkOutcome, Unlinker, Warrant,
};

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

/// A Redis of the test's own, without a password.
fn server(options: RedisOptions) -> RedisServer {
    RedisServer::start(RedisOptions { password: Some(String::new()), ..options }).unwrap()
}

/// Whether the server that is installed tells when keys expire, to the millisecond (Redis 7).
fn tells_expire_time() -> bool {
    let server = server(RedisOptions::default());
    !matches!(talk::Talk::to(server.port()).say(&["PEXPIRETIME", "k"]), talk::Answer::Error(_))
}

/// What deletes keys at this URL.
async fn unlinker(url: &str) -> Unlinker {
    let source = RedisSource::connect(&SourceSettings::new(url), None).await.unwrap();
    source.unlinker(UnlinkOptions::default()).await.unwrap()
}

/// A string that must have these bytes and no TTL.
fn string(key: &str, value: &str) -> Candidate {
    Candidate {
        key: RedisKey::new(key.to_owned()),
        redis_type: RedisType::String,
        expires_at: Some(None),
        content: Content::Exact(value.to_owned().into()),
    }
}

/// A collection that must have these items, in the packed order, and no TTL.
fn items(key: &str, redis_type: RedisType, items: &[&str]) -> Candidate {
    let packed = items.iter().map(|item| item.as_bytes()).collect::<redis2pg::model::Packer>().finish();
    let content = Content::Digest(ContentDigest::of(redis_type, &packed));
    Candidate { key: RedisKey::new(key.to_owned()), redis_type, expires_at: Some(None), content }
}

/// The outcomes of an attempt, or why it failed.
async fn unlinking(
    unlinker: &Unlinker,
    candidates: &[Candidate],
    warrant: &dyn Warrant,
) -> Result<Vec<UnlinkOutcome>, Failure> {
    let fates = Fates::of(candidates.len());
    unlinker.unlink(candidates, warrant, &fates).await?;
    let told = |fate| match fate {
        Fate::Told(outcome) => outcome,
        Fate::Open(_) => panic!("a key without an outcome"),
    };
    Ok(fates.known().into_iter().map(told).collect())
}

/// Why an attempt failed, and what is known of the keys then.
async fn failing(unlinker: &Unlinker, candidates: &[Candidate], warrant: &dyn Warrant) -> (Failure, Vec<Fate>) {
    let fates = Fates::of(candidates.len());
    let failure = unlinker.unlink(candidates, warrant, &fates).await.unwrap_err();
    (failure, fates.known())
}

/// The outcomes of an attempt that must come to its end.
async fn unlinked(unlinker: &Unlinker, candidates: &[Candidate]) -> Vec<UnlinkOutcome> {
    unlinking(unlinker, candidates, &Always).await.unwrap()
}
