//! The right to delete ends while keys are read: nothing goes by it any more.

use super::scene::{Scene, hash};
use super::{Always, failing, items, string, unlinking};
use crate::proxy::Act;
use futures::FutureExt;
use futures::future::BoxFuture;
use redis2pg::model::{Exit, Failure, RedisType, Side};
use redis2pg::source::redis::{Fate, UnlinkOutcome, Warrant};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A right of which the test says when it ends.
#[derive(Clone, Default)]
pub(super) struct Ending {
    outdated: Arc<AtomicBool>,
    lost: Arc<AtomicBool>,
    /// Whether it takes its time to be sure once it is outdated.
    slow: bool,
    /// Whether the process stood still when it became outdated.
    stood_still: bool,
}

impl Ending {
    /// One whose comparison is too old once this is so.
    pub(super) fn outdated_by(outdated: Arc<AtomicBool>) -> Self {
        Self { outdated, ..Self::default() }
    }
}

impl Warrant for Ending {
    fn sure(&self) -> BoxFuture<'_, Result<(), Failure>> {
        let lost = self.lost.load(Ordering::SeqCst);
        let failure = || Failure::new(Exit::Stopped, Side::Postgres, "the test took it", "");
        let waits = self.slow && self.outdated.load(Ordering::SeqCst);
        let time = Duration::from_millis(if waits { 1_200 } else { 0 });
        let answer = if lost { Err(failure()) } else { Ok(()) };
        tokio::time::sleep(time).map(|()| answer).boxed()
    }

    fn is_fresh(&self) -> bool {
        !self.outdated.load(Ordering::SeqCst)
    }

    fn interruptions(&self) -> u64 {
        u64::from(self.stood_still && self.outdated.load(Ordering::SeqCst))
    }
}

/// A scene in which something ends when the trap springs.
async fn scene(ends: &Arc<AtomicBool>, act: impl Fn() -> Act + Send + Sync + 'static) -> Scene {
    let ends = ends.clone();
    Scene::new(move |_| {
        ends.store(true, Ordering::SeqCst);
        act()
    })
    .await
}

#[tokio::test]
async fn what_grows_too_old_while_it_is_read_stays() {
    let warrant = Ending::default();
    let mut scene = scene(&warrant.outdated, || Act::Pass).await;
    scene.redis.say(&["HSET", "k", "f", "v"]);
    scene.trap.set("HSCAN");
    let outcomes = unlinking(&scene.unlinker, &[hash("k")], &warrant).await.unwrap();
    assert!(scene.trap.has_sprung());
    assert_eq!((outcomes, scene.redis.there(&["k"])), (vec![UnlinkOutcome::Outdated], vec![true]));
    // Nothing is left on the connection that would keep it from going later.
    assert_eq!(unlinking(&scene.unlinker, &[hash("k")], &Always).await.unwrap(), [UnlinkOutcome::Deleted]);
}

#[tokio::test]
async fn the_reading_of_a_large_key_takes_as_long_as_it_takes() {
    let warrant = Ending::default();
    let mut scene = scene(&warrant.outdated, || Act::Pass).await;
    let value = "v".repeat(2 << 20);
    scene.redis.say(&["HSET", "k", "f", &value]);
    scene.trap.set("HSCAN");
    let large = items("k", RedisType::Hash, &["f", &value]);
    let outcomes = unlinking(&scene.unlinker, std::slice::from_ref(&large), &warrant).await.unwrap();
    assert_eq!((outcomes, scene.redis.there(&["k"])), (vec![UnlinkOutcome::Deleted], vec![false]));
    // Another attempt begins too late.
    scene.redis.say(&["HSET", "k", "f", &value]);
    assert_eq!(unlinking(&scene.unlinker, &[large], &warrant).await.unwrap(), [UnlinkOutcome::Outdated]);
}

#[tokio::test]
async fn a_large_key_stays_where_the_right_had_to_be_waited_for_or_the_process_stood_still() {
    for warrant in [Ending { slow: true, ..Ending::default() }, Ending { stood_still: true, ..Ending::default() }] {
        let mut scene = scene(&warrant.outdated, || Act::Pass).await;
        let value = "v".repeat(2 << 20);
        scene.redis.say(&["HSET", "k", "f", &value]);
        scene.trap.set("HSCAN");
        let large = items("k", RedisType::Hash, &["f", &value]);
        let outcomes = unlinking(&scene.unlinker, &[large], &warrant).await.unwrap();
        assert_eq!((outcomes, scene.redis.there(&["k"])), (vec![UnlinkOutcome::Outdated], vec![true]));
    }
}

/// Nothing but EXEC deletes: what goes before it may take as long as a server that stands still.
#[tokio::test]
async fn the_right_is_asked_for_behind_all_that_goes_before_exec() {
    for command in ["MULTI", "UNLINK"] {
        let warrant = Ending::default();
        let mut scene = scene(&warrant.outdated, || Act::Pass).await;
        scene.redis.say(&["HSET", "k", "f", "v"]);
        scene.trap.set(command);
        let outcomes = unlinking(&scene.unlinker, &[hash("k")], &warrant).await.unwrap();
        assert!(scene.trap.has_sprung(), "{command}");
        assert_eq!((outcomes, scene.redis.there(&["k"])), (vec![UnlinkOutcome::Outdated], vec![true]), "{command}");
        // The transaction is given up, and the connection serves the next one.
        assert_eq!(unlinking(&scene.unlinker, &[hash("k")], &Always).await.unwrap(), [UnlinkOutcome::Deleted]);
    }
    let warrant = Ending::default();
    let mut scene = scene(&warrant.lost, || Act::Pass).await;
    scene.redis.say(&["HSET", "k", "f", "v"]);
    scene.trap.set("MULTI");
    let failure = unlinking(&scene.unlinker, &[hash("k")], &warrant).await.unwrap_err();
    assert_eq!((failure.message.as_str(), scene.redis.there(&["k"])), ("the test took it", vec![true]));
}

/// To connect takes time as well: for the first call of a script, and after each connection that was lost.
#[tokio::test]
async fn the_right_is_asked_for_once_there_is_a_connection() {
    let warrant = Ending::default();
    let mut scene = scene(&warrant.outdated, || Act::Pass).await;
    scene.redis.say(&["SET", "k", "v"]);
    scene.trap.set("CLIENT");
    let outcomes = unlinking(&scene.unlinker, &[string("k", "v")], &warrant).await.unwrap();
    assert!(scene.trap.has_sprung());
    assert_eq!((outcomes, scene.redis.there(&["k"])), (vec![UnlinkOutcome::Outdated], vec![true]));
}

#[tokio::test]
async fn who_lost_the_right_meanwhile_deletes_nothing() {
    let warrant = Ending::default();
    let mut scene = scene(&warrant.lost, || Act::Pass).await;
    scene.redis.say(&["HSET", "k", "f", "v"]);
    scene.trap.set("HSCAN");
    let failure = unlinking(&scene.unlinker, &[hash("k")], &warrant).await.unwrap_err();
    assert_eq!((failure.message.as_str(), scene.redis.there(&["k"])), ("the test took it", vec![true]));
}

#[tokio::test]
async fn a_call_is_not_made_again_too_late() {
    // The first was not run, or nobody knows.
    for (act, gone) in [(Act::Cut, false), (Act::Lose, true)] {
        let warrant = Ending::default();
        let mut scene = scene(&warrant.outdated, move || act).await;
        scene.redis.say(&["SET", "k", "v"]);
        scene.trap.set("EVAL");
        let (failure, fates) = failing(&scene.unlinker, &[string("k", "v")], &warrant).await;
        assert!(failure.message.contains("the answer to a deletion was lost"), "{failure}");
        assert_eq!((fates, scene.redis.there(&["k"])), (vec![Fate::Open(1)], vec![!gone]));
    }
}

/// What another key may have come to is no reason not to know of this one.
#[tokio::test]
async fn where_an_answer_is_lost_it_is_known_which_keys_it_was_about() {
    let warrant = Ending::default();
    let mut scene = scene(&warrant.outdated, || Act::Lose).await;
    for key in ["k", "other"] {
        scene.redis.say(&["HSET", key, "f", if key == "k" { "v" } else { "w" }]);
    }
    scene.trap.set("EXEC");
    let candidates = [hash("k"), hash("other"), hash("nothing")];
    let (failure, fates) = failing(&scene.unlinker, &candidates, &warrant).await;
    assert!(failure.message.contains("the answer to a deletion was lost"), "{failure}");
    let outdated = Fate::Told(UnlinkOutcome::Outdated);
    assert_eq!(fates, [Fate::Open(1), outdated, outdated]);
    assert_eq!(scene.redis.there(&["k", "other"]), [false, true]);
}
