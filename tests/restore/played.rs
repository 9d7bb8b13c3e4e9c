//! Servers that keep times for fields of hashes, and such with RedisJSON: played, where the installed one is neither.

use crate::Place;
use crate::made::{entry, header, made_with, packed};
use crate::support::Ended;
use crate::support::scripted::{Answer, Keyspace, ScriptedRedis, array, reply};
use redis2pg::backup::{Entry, Logical};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// When a field expires.
const AT: i64 = 4_000_000_000_123;

/// An empty server that takes what is written in transactions. `says`: what it answers to a command of one, where that is not
/// what follows from it; an error is told at once, as a real one does. Gives what was said to it in transactions.
fn server(
    says: impl Fn(&[String]) -> Option<String> + Send + Sync + 'static,
) -> (ScriptedRedis, Arc<Mutex<Vec<Vec<String>>>>) {
    let said: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
    let (heard, open) = (said.clone(), Mutex::new(HashMap::<usize, Vec<Vec<String>>>::new()));
    let server = ScriptedRedis::start(Keyspace::default(), move |connection, command| {
        let mut open = open.lock().unwrap();
        match (command[0].as_str(), open.get_mut(&connection)) {
            ("MULTI", _) => {
                open.insert(connection, Vec::new());
                reply("+OK\r\n".to_owned())
            }
            ("EXEC", Some(_)) => {
                let commands = open.remove(&connection).unwrap();
                if commands.iter().any(|command| says(command).is_some_and(|said| said.starts_with('-'))) {
                    return reply("-EXECABORT Transaction discarded because of previous errors.\r\n".to_owned());
                }
                let answers = commands.iter().map(|command| says(command).unwrap_or_else(|| answer(command)));
                let answers = array(&answers.collect::<Vec<_>>());
                heard.lock().unwrap().extend(commands);
                reply(answers)
            }
            (_, Some(queued)) => {
                queued.push(command.to_vec());
                let refused = says(command).filter(|said| said.starts_with('-'));
                reply(refused.unwrap_or_else(|| "+QUEUED\r\n".to_owned()))
            }
            ("HPEXPIRETIME", _) => reply(array(&[":-2\r\n".to_owned()])),
            ("UNLINK", _) => reply(":0\r\n".to_owned()),
            ("EVAL_RO", _) if command[1].contains("acl_check_cmd") => {
                let may = |asked: &String| {
                    let words: Vec<String> = asked.split(' ').map(str::to_owned).collect();
                    let refused = says(&words).is_some_and(|said| said.starts_with("-NOPERM"));
                    if refused { ":0\r\n".to_owned() } else { ":1\r\n".to_owned() }
                };
                reply(array(&command[4..].iter().map(may).collect::<Vec<_>>()))
            }
            _ => None::<Answer>,
        }
    });
    (server, said)
}

/// What a real server answers.
fn answer(command: &[String]) -> String {
    match command[0].as_str() {
        "HSET" => format!(":{}\r\n", (command.len() - 2) / 2),
        "HLEN" => ":2\r\n".to_owned(),
        "HPEXPIREAT" => array(&vec![":1\r\n".to_owned(); command.len() - 5]),
        "JSON.SET" => "+OK\r\n".to_owned(),
        _ => ":1\r\n".to_owned(),
    }
}

fn restored(place: &Place, server: &ScriptedRedis, entries: &[Entry]) -> Ended {
    made_with(place, header("valkey", "9.0.0"), entries);
    place.restore_from(&place.file(), &server.url(), &[])
}

fn hash() -> Entry {
    let logical = Logical::Hash { items: packed(&["a", "1", "b", "2"]), expiries: Some(vec![-1, AT]) };
    entry("hash", "hash", None, Some(logical))
}

/// Whether a key got its name.
fn moved(said: &[Vec<String>]) -> bool {
    said.iter().any(|command| command[0] == "RENAMENX")
}

#[test]
fn fields_get_their_times_before_the_hash_gets_its_name() {
    let place = Place::new();
    let (server, said) = server(|_| None);
    let done = restored(&place, &server, &[hash()]).exits(0);
    assert_eq!(done.count("restored"), 1, "{}", done.stdout);
    let said = said.lock().unwrap();
    let words: Vec<&str> = said.iter().map(|command| command[0].as_str()).collect();
    assert_eq!(words, ["HSET", "HPEXPIREAT", "PEXPIRE", "HLEN", "PERSIST", "RENAMENX"]);
    assert_eq!(said[1][2..], ["4000000000123", "FIELDS", "1", "b"]);
}

/// There is no moment at which it has its name and no time: the name that it is built under has it, and takes it along.
#[test]
fn a_key_gets_its_time_of_expiry_before_it_gets_its_name() {
    let place = Place::new();
    let (server, said) = server(|_| None);
    let plain = Logical::Hash { items: packed(&["a", "1", "b", "2"]), expiries: None };
    let timed = Entry { expires_at: Some(AT), ..entry("hash", "hash", None, Some(plain)) };
    restored(&place, &server, &[timed]).exits(0);
    let said = said.lock().unwrap();
    let words: Vec<&str> = said.iter().map(|command| command[0].as_str()).collect();
    assert_eq!(words, ["HSET", "PEXPIRE", "HLEN", "PEXPIREAT", "RENAMENX"]);
    assert_eq!((&said[3][1], &said[3][2]), (&said[4][1], &AT.to_string()), "of the name that is given away");
    assert_eq!(said[4][2], "hash");
}

#[test]
fn a_field_that_did_not_get_its_time_keeps_the_hash_from_its_name() {
    let place = Place::new();
    for code in ["0", "-2"] {
        let (server, said) =
            server(move |command| (command[0] == "HPEXPIREAT").then(|| array(&[format!(":{code}\r\n")])));
        let done = restored(&place, &server, &[hash()]).exits(3);
        assert_eq!(done.reason("failed", "changing"), 1, "{code}: {}", done.stdout);
        assert!(!moved(&said.lock().unwrap()), "{code}");
    }
    // Its time came while it was written: it is gone, as it is to be.
    let (server, said) = server(|command| match command[0].as_str() {
        "HPEXPIREAT" => Some(array(&[":2\r\n".to_owned()])),
        "HLEN" => Some(":1\r\n".to_owned()),
        _ => None,
    });
    restored(&place, &server, &[hash()]).exits(0);
    assert!(moved(&said.lock().unwrap()));
}

#[test]
fn a_user_who_may_not_set_times_of_fields_is_told_so_before_anything_is_written() {
    let place = Place::new();
    let refused = |command: &[String]| {
        command[0]
            .eq_ignore_ascii_case("hpexpireat")
            .then(|| "-NOPERM User x has no permissions to run the 'hpexpireat' command\r\n".to_owned())
    };
    let (server, said) = server(refused);
    let plain = || Logical::Hash { items: packed(&["a", "1", "b", "2"]), expiries: None };
    // Nor is what could be: a restore that ends in the middle is no answer to a right that lacks.
    let done = restored(&place, &server, &[entry("other", "hash", None, Some(plain())), hash()]).exits(2);
    assert!(done.stderr.contains("HPEXPIREAT"), "{}", done.stderr);
    assert!(said.lock().unwrap().is_empty());
    // Where no field expires the right is not asked for.
    assert_eq!(restored(&place, &server, &[entry("hash", "hash", None, Some(plain()))]).exits(0).count("restored"), 1);
}

#[test]
fn a_document_is_set_where_the_module_is_and_told_where_it_is_not() {
    let place = Place::new();
    let document = || {
        let text = Logical::Bytes("{\"a\":[1,2.5]}".into());
        entry("document", "ReJSON-RL", Some(b"no dump at all"), Some(text))
    };
    let (with, said) = server(|_| None);
    let done = restored(&place, &with, &[document()]).exits(0);
    assert_eq!(done.count("restored"), 1, "{}", done.stdout);
    assert_eq!(said.lock().unwrap()[0][2..], ["$", "{\"a\":[1,2.5]}"]);
    let (without, said) = server(|command| {
        command[0]
            .eq_ignore_ascii_case("json.set")
            .then(|| "-ERR unknown command 'JSON.SET', with args beginning with: 'k' '{\"a\":[1' \r\n".to_owned())
    });
    let done = restored(&place, &without, &[document(), hash()]).exits(3);
    assert_eq!((done.reason("failed", "module_type"), done.count("restored")), (1, 1), "{}", done.stdout);
    assert!(!done.stdout.contains("with args"), "the value is told: {}", done.stdout);
    assert!(said.lock().unwrap().iter().all(|command| command[0] != "JSON.SET"));
}

#[test]
fn a_value_that_is_gone_each_time_before_it_gets_its_name_may_have_been_evicted() {
    let place = Place::new();
    let (server, _) = server(|command| (command[0] == "RENAMENX").then(|| "-ERR no such key\r\n".to_owned()));
    let failed = restored(&place, &server, &[hash()]).exits(3);
    assert_eq!(failed.reason("failed", "changing"), 1, "{}", failed.stdout);
    let file = place.file();
    let told = place.run(&["restore", "--file", file.to_str().unwrap(), "--to", &server.url()]).exits(3);
    assert!(told.stdout.contains("evicted"), "{}", told.stdout);
}
