//! Several databases: each key into its own, or those of one into another.

use crate::Place;
use crate::data;
use crate::redis::{Redis, assert_same, held};
use crate::support::{Ended, Random, seed};
use redis2pg::sandbox::{RedisOptions, RedisServer};

#[test]
fn each_key_goes_into_its_own_database_or_those_of_one_into_another() {
    let server = RedisServer::start(RedisOptions::default()).unwrap();
    let place = Place::at(format!("{}/0", server.url()));
    let mut random = Random(seed());
    let open = |number: u8| Redis::open(&format!("{}/{number}", server.url()));
    for number in [0, 3, 7] {
        data::fill(&mut open(number), &mut random, 60);
    }
    let before: Vec<_> = [0, 3, 7].map(|number| held(&mut open(number))).into();
    let file = place.file();
    let from = server.url();
    let args = ["backup", "--json", "--databases", "all", "--from", &from, "--file", file.to_str().unwrap()];
    place.run(&args).exits(0);

    open(0).say("FLUSHALL");
    let done = place.restore_from(&file, &from, &[]).exits(0);
    assert_eq!(done.json["databases"]["3"]["restored"].as_u64(), Some(60), "{}", done.stdout);
    let named = |done: &Ended| done.json["target"].as_str().unwrap().rsplit_once(':').unwrap().1.to_owned();
    assert_eq!(named(&done), server.port().to_string(), "it is none of them");
    let third = place.restore_from(&file, &from, &["--database", "3"]).exits(0);
    assert_eq!(named(&third), format!("{}/3", server.port()));
    for (number, before) in [0, 3, 7].into_iter().zip(&before) {
        assert_same(&held(&mut open(number)), before);
    }
    // Two keys of two databases might have one name.
    let into = format!("{from}/5");
    let refused = place.restore_from(&file, &into, &[]).exits(2);
    assert!(refused.stderr.contains("0, 3, 7") && refused.stderr.contains("--database"), "{}", refused.stderr);
    assert!(held(&mut open(5)).is_empty());
    place.restore_from(&file, &into, &["--database", "7"]).exits(0);
    assert_same(&held(&mut open(5)), &before[2]);
    // Database 0 is one that is named, too.
    open(0).say("FLUSHALL");
    place.restore_from(&file, &format!("{from}/0"), &["--database", "3"]).exits(0);
    assert_same(&held(&mut open(0)), &before[1]);
    assert!(held(&mut open(3)).is_empty());
}
