//! Documents of RedisJSON, which is played: to who asks through the proxy, the strings under `doc:` are documents.

use crate::proxy::{Act, Proxy};
use crate::support::{Case, Client, salvaged_of};
use crate::{came_to, ends, is_there, said};
use redis2pg::backup::Logical;
use redis2pg::sandbox::{RedisOptions, RedisServer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

const TYPE: &str =
    "local t = redis.call('TYPE', KEYS[1]) if t.ok == 'string' then return {ok = 'ReJSON-RL'} end return t";
const TEXT: &str = "return redis.call('GET', KEYS[1])";
const REFUSED: &str = "return redis.error_reply(\"NOPERM User x has no permissions to run the 'json.get' command\")";
const NO_STRING: &str = "return redis.error_reply('WRONGTYPE Operation against a key holding the wrong kind of value')";
const NO_STRINGS: &str = "local r = {} for i = 1, #KEYS do r[i] = false end return r";
/// The same for scripts.
const PLAYED: &str = "local real = redis local function played(how, name, key, ...) name = string.upper(name) \
    if type(key) == 'string' and string.sub(key, 1, 4) == 'doc:' then \
    if name == 'TYPE' then local t = real.call('TYPE', key) if t.ok == 'string' then t.ok = 'ReJSON-RL' end return t \
    elseif name == 'JSON.GET' then return real.call('GET', key) \
    elseif name == 'GET' or name == 'STRLEN' then return {err = 'WRONGTYPE no string'} end end \
    return how(name, key, ...) end \
    local redis = setmetatable({call = function(...) return played(real.call, ...) end, \
    pcall = function(...) return played(real.pcall, ...) end}, {__index = real})";

const DOCUMENTS: &str = r#"
[[mapping]]
name = "documents"
match = "doc:{id}"
type = "json"
into = "public.documents"
key = ["id"]
lineage = "ledger"
column = [
  { name = "id", from = ["{id}"] },
  { name = "n", from = ["$.n"] },
]
"#;

/// A case whose Redis has documents, and how often the text of one was asked for. Beyond `texts` of these the user may not.
fn case(server: &RedisServer, asked: &Arc<AtomicUsize>, texts: usize) -> Case {
    let counted = asked.clone();
    let proxy = Proxy::start(Arc::new(AtomicU16::new(server.port())), move |words| {
        let of_document = words.get(1).is_some_and(|key| key.starts_with("doc:"));
        match words[0].as_str() {
            "TYPE" if of_document => Act::Instead(TYPE),
            "JSON.GET" if of_document && counted.fetch_add(1, Ordering::SeqCst) >= texts => Act::Instead(REFUSED),
            "JSON.GET" => Act::Instead(TEXT),
            "MGET" if of_document => Act::Instead(NO_STRINGS),
            "GET" | "STRLEN" | "GETRANGE" if of_document => Act::Instead(NO_STRING),
            "EVAL" | "EVAL_RO" => Act::Behind(PLAYED),
            _ => Act::Pass,
        }
    });
    let password = format!("redis://:{}@", server.password());
    let case = Case::from_source(&format!("{}/0", proxy.url().replace("redis://", &password)));
    case.sql("SET ROLE redis2pg; CREATE TABLE documents (id text PRIMARY KEY, n integer)");
    case
}

/// A document of so many bytes and some.
fn document(n: usize, bytes: usize) -> String {
    format!(r#"{{"n":{n},"rest":"{}"}}"#, "x".repeat(bytes))
}

#[test]
fn documents_of_every_size_are_in_the_file_with_their_text_and_go() {
    let server = RedisServer::start(RedisOptions::default()).unwrap();
    let case = case(&server, &Arc::default(), usize::MAX);
    let mut redis = Client::open(&format!("{}/0", server.url()));
    let texts = [document(1, 10), document(2, 2 << 20)];
    redis.set("doc:small", &texts[0]);
    redis.set("doc:large", &texts[1]);
    ends(case.run_config(DOCUMENTS, &[]), 0);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("documents.backup");
    let outcome = ends(case.cleanup(DOCUMENTS, &["--yes", "--backup", path.to_str().unwrap()]), 0);
    came_to(&outcome, 2, &[]);
    let entries = salvaged_of(&path);
    for (key, text) in [("doc:small", &texts[0]), ("doc:large", &texts[1])] {
        let [entry] = entries[&(0, key.to_owned())].as_slice() else { panic!("{key}: parts") };
        assert_eq!((&*entry.type_name, entry.dump.is_some()), ("ReJSON-RL", true), "{key}");
        assert!(matches!(&entry.logical, Some(Logical::Bytes(bytes)) if bytes == text), "{key}");
    }
}

/// The dump alone does not tell whether it is what was compared.
#[test]
fn a_document_whose_text_cannot_be_had_for_the_file_stays_and_it_is_said_why() {
    let server = RedisServer::start(RedisOptions::default()).unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let case = case(&server, &asked, 1);
    Client::open(&format!("{}/0", server.url())).set("doc:large", &document(2, 2 << 20));
    ends(case.run_config(DOCUMENTS, &[]), 0);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("documents.backup");
    // It is compared by its text, and read once more for the file.
    asked.store(0, Ordering::SeqCst);
    let outcome = ends(case.cleanup(DOCUMENTS, &["--yes", "--backup", path.to_str().unwrap()]), 0);
    came_to(&outcome, 0, &[("not_saved", 1)]);
    let line = said(&outcome, "doc:large");
    assert!(line["detail"].to_string().contains("its dump and not its text"), "{line}");
    assert!(is_there(&case, "doc:large") && salvaged_of(&path).is_empty());
}
