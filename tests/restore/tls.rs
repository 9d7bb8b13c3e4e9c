//! Over TLS, against a server with a certificate of a private authority.

use crate::Place;
use crate::redis::{assert_same, held};
use crate::support::{Random, seed, self_signed};
use redis2pg::sandbox::{RedisOptions, RedisServer};

#[test]
fn keys_of_all_types_go_there_and_back_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let tls = self_signed(dir.path());
    let certificate = tls.ca.display().to_string();
    let server = RedisServer::start(RedisOptions { tls: Some(tls), ..RedisOptions::default() }).unwrap();
    let place = Place::at(format!("{}/0", server.url()));
    let mut redis = place.redis();
    crate::data::fill(&mut redis, &mut Random(seed()), 300);
    // In parts as well: reading under a watch and writing have connections of their own.
    redis.ok(&[b"SET", b"large", &vec![b'x'; 3 << 20]]);
    let before = held(&mut redis);
    let (secured, file) = (format!("{}/0", server.url_tls().unwrap()), place.file());
    let file = file.to_str().unwrap();
    let trusting = ["--source-ca-file", &certificate];
    let backup = ["backup", "--json", "--from", &secured, "--file", file];
    let untrusted = place.run(&backup).exits(5);
    assert!(untrusted.stderr.contains("TLS handshake"), "{}", untrusted.stderr);
    place.run(&[&backup[..], &trusting].concat()).exits(0);
    for args in [&[][..], &["--logical"]] {
        redis.say("FLUSHDB");
        let done = place.restore_from(&place.file(), &secured, &[&trusting[..], args].concat()).exits(0);
        assert_eq!(done.count("restored"), before.len() as u64, "{}", done.stdout);
        assert_same(&held(&mut redis), &before);
    }
}
