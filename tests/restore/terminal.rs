//! On a terminal a restore that replaces shows what it would do, and asks.

use crate::Place;
use crate::support::answered;

#[test]
fn on_a_terminal_it_shows_what_it_would_replace_and_does_it_only_when_told_to() {
    let place = Place::new();
    let mut redis = place.redis();
    redis.say("MSET a file b file c file");
    place.backup();
    redis.say("SET a there");
    redis.say("DEL b");
    let file = place.file();
    let args = ["restore", "--replace", "--file", file.to_str().unwrap(), "--to", &place.url];
    let mut held = || [redis.say("GET a"), redis.ok(&[b"GET", b"b"])].map(|reply| format!("{reply:?}"));
    let before = held();
    for no in ["n\n", "\n", "perhaps\n", "\u{4}"] {
        let (code, stdout, stderr) = answered(place.command(&args), || (), no);
        assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
        assert!(stderr.contains("would replace") && stderr.ends_with("Nothing was done.\n"), "{no:?}: {stderr}");
        assert_eq!(held(), before, "{no:?}");
    }
    let untouched = || assert_eq!(held(), before, "nothing is done before the answer");
    let (code, stdout, stderr) = answered(place.command(&args), untouched, "yes\n");
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("is restored into"), "{stdout}");
    assert_eq!(redis.say("MGET a b c").list().iter().map(|one| one.bytes().to_vec()).collect::<Vec<_>>(), [b"file"; 3]);
    // Where there is nothing to do it does not ask.
    let again = place.restore(&["--replace", "--yes"]).exits(0);
    assert_eq!(again.count("equal"), 3, "{}", again.stdout);
}
