//! Sessions of Spring Session, by a JSON serializer and by Java's own, with the side structures of the indexed repository.

use super::support::Client;
use super::{MANY, add, left, moved, same_expiry, set};
use serde_json::{Value, json};
use uuid::Uuid;

const CREATED: i64 = 1_700_000_000_123;

fn id(i: usize) -> String {
    Uuid::from_u128(0x33fd_d1b6_b496_4b33_9f7d_0000_0000_0000 + i as u128).to_string()
}

/// A boxed number as ObjectOutputStream writes it: the descriptions of its class and of Number, then its bytes.
fn boxed(class: &str, uid: u64, code: u8, value: &[u8]) -> Vec<u8> {
    let mut out = b"\xac\xed\x00\x05sr".to_vec();
    let name = |out: &mut Vec<u8>, name: &str| {
        out.extend((name.len() as u16).to_be_bytes());
        out.extend(name.as_bytes());
    };
    name(&mut out, class);
    out.extend(uid.to_be_bytes());
    out.extend([2, 0, 1, code]);
    name(&mut out, "value");
    out.extend(b"xr");
    name(&mut out, "java.lang.Number");
    out.extend(0x86ac_951d_0b94_e08b_u64.to_be_bytes());
    out.extend([2, 0, 0, b'x', b'p']);
    out.extend(value);
    out
}

fn long(value: i64) -> Vec<u8> {
    boxed("java.lang.Long", 0x3b8b_e490_cc8f_23df, b'J', &value.to_be_bytes())
}

fn integer(value: i32) -> Vec<u8> {
    boxed("java.lang.Integer", 0x12e2_a0a4_f781_8738, b'I', &value.to_be_bytes())
}

/// A string as ObjectOutputStream writes it.
fn text(value: &str) -> Vec<u8> {
    let length = (value.len() as u16).to_be_bytes();
    [b"\xac\xed\x00\x05t".as_slice(), &length, value.as_bytes()].concat()
}

/// The keys that the indexed repository keeps beside the session's hash.
fn side_structures(redis: &mut Client, id: &str) {
    let expires = format!("spring:session:sessions:expires:{id}");
    set(redis, &expires, b"", Some(1800));
    add(redis, "SADD", "spring:session:expirations:1700001840000", &[&text(&format!("expires:{id}"))]);
    let index = "org.springframework.session.FindByIndexNameSessionRepository.PRINCIPAL_NAME_INDEX_NAME";
    add(redis, "SADD", &format!("spring:session:index:{index}:zoe"), &[&text(id)]);
}

#[test]
fn sessions_in_json_are_loaded_and_their_side_structures_left_alone() {
    let created = |i: usize| CREATED + i as i64;
    let attribute = |i: usize| json!({"@class": "com.example.Cart", "items": ["java.util.ArrayList", [i, "é"]]});
    let (case, run) = moved("spring-session", 0, |redis| {
        for i in 0..MANY {
            let key = format!("spring:session:sessions:{}", id(i));
            let fields = [created(i).to_string(), (created(i) + 60_000).to_string(), attribute(i).to_string()];
            let [creation, accessed, cart] = fields.each_ref().map(|field| field.as_bytes());
            // An attribute that was removed is an empty field.
            let session: &[&[u8]] = &[
                b"creationTime",
                creation,
                b"lastAccessedTime",
                accessed,
                b"maxInactiveInterval",
                b"1800",
                b"sessionAttr:cart",
                cart,
                b"sessionAttr:gone",
                b"",
            ];
            add(redis, "HSET", &key, session);
            redis.say(&format!("EXPIRE {key} 2100"));
            side_structures(redis, &id(i));
        }
        add(redis, "ZADD", "spring:session:sessions:expirations", &[b"1700001800123", id(0).as_bytes()]);
    });
    let many = MANY as i64;
    assert_eq!((run.count("spring_sessions", "inserted"), left(&run)), (many, (many + 3, many + 1)), "{run}");
    assert_eq!(run.report["mappings"]["spring_sessions"]["altered"]["empty_items"], many, "{run}");
    let row = |i: usize| {
        let columns =
            "extract(epoch FROM creation_time), extract(epoch FROM last_accessed_time), max_inactive_interval";
        case.sql(&format!("SELECT {columns} FROM spring.sessions WHERE id = '{}'", id(i)))
    };
    assert_eq!(row(5), "1700000000.128000|1700000060.128000|1800");
    let rows = case.json("SELECT jsonb_object_agg(id, attributes) FROM spring.sessions");
    let attributes = |i| json!({"sessionAttr:cart": attribute(i), "sessionAttr:gone": null});
    assert_eq!(rows, Value::Object((0..MANY).map(|i| (id(i), attributes(i))).collect()));
    same_expiry(&case, &format!("spring:session:sessions:{}", id(3)), "spring.sessions", &format!("id = '{}'", id(3)));
}

#[test]
fn what_java_serialized_is_rejected_by_name_where_json_is_wanted() {
    let (case, run) = moved("spring-session", 3, |redis| {
        let java: &[&[u8]] = &[b"creationTime", &long(CREATED), b"lastAccessedTime", &long(CREATED)];
        add(redis, "HSET", "spring:session:sessions:java", java);
        let whole: [&[u8]; 6] =
            [b"creationTime", b"1700000000123", b"lastAccessedTime", b"1700000000123", b"maxInactiveInterval", b"-1"];
        add(redis, "HSET", "spring:session:sessions:good", &whole);
        add(redis, "HSET", "spring:session:sessions:mixed", &[&whole[..], &[b"sessionAttr:a", &text("x")]].concat());
        // A request that ended late writes one field of a session that was deleted.
        add(redis, "HSET", "spring:session:sessions:half", &[b"lastAccessedTime", b"1700000000123"]);
        set(redis, "spring:session:sessions:string", b"{}", None);
    });
    assert_eq!(case.sql("SELECT id, max_inactive_interval FROM spring.sessions"), "good|-1");
    for (id, reason) in [
        ("java", "encoding_unsupported (java)"),
        ("mixed", "encoding_unsupported (java)"),
        ("half", "field_missing"),
        ("string", "redis_type (string)"),
    ] {
        assert_eq!(run.reject(&format!("spring:session:sessions:{id}"))["reason"], reason, "{run}");
    }
    assert_eq!(run.reject("spring:session:sessions:mixed")["path"], r#"$["sessionAttr:a"]"#);
}

#[test]
fn a_field_whose_name_is_no_text_is_rejected_though_values_may_be_any_bytes() {
    let (case, run) = moved("spring-session-jdk", 3, |redis| {
        add(redis, "HSET", "spring:session:sessions:bad", &[b"a", b"\xff", b"n\xffme", b"1"]);
        add(redis, "HSET", "spring:session:sessions:good", &[b"a", b"\xff"]);
        set(redis, "spring:session:sessions:string", b"{}", None);
    });
    for (id, reason) in [("bad", "invalid_utf8"), ("string", "redis_type (string)")] {
        assert_eq!(run.reject(&format!("spring:session:sessions:{id}"))["reason"], reason, "{run}");
    }
    assert_eq!(case.sql("SELECT session_id, field FROM spring.session_fields ORDER BY session_id"), "bad|a\ngood|a");
}

#[test]
fn what_java_serialized_is_kept_as_bytes() {
    let (case, run) = moved("spring-session-jdk", 0, |redis| {
        for i in 0..MANY {
            let key = format!("spring:session:sessions:{}", id(i));
            let (at, user) = (long(CREATED + i as i64), text(&format!("zoë {i}")));
            let session: &[&[u8]] = &[
                b"creationTime",
                &at,
                b"lastAccessedTime",
                &at,
                b"maxInactiveInterval",
                &integer(1800),
                b"sessionAttr:user",
                &user,
                b"sessionAttr:gone",
                b"",
            ];
            add(redis, "HSET", &key, session);
            redis.say(&format!("EXPIRE {key} 1800"));
            side_structures(redis, &id(i));
        }
        // Bytes that are base64 by chance, as a JSON serializer writes them, stay what they are.
        add(redis, "HSET", "spring:session:sessions:json", &[b"maxInactiveInterval", b"1800"]);
    });
    let many = MANY as i64;
    assert_eq!((run.count("spring_fields", "inserted"), left(&run)), (many + 1, (many + 2, many)), "{run}");
    assert_eq!(case.number("SELECT count(*) FROM spring.session_fields"), 5 * many + 1);
    let bytes = |id: &str, field: &str| {
        let row = format!("session_id = '{id}' AND field = '{field}'");
        case.sql(&format!("SELECT encode(value, 'hex') FROM spring.session_fields WHERE {row}")).replace('\n', "")
    };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for i in 0..MANY {
        assert_eq!(bytes(&id(i), "creationTime"), hex(&long(CREATED + i as i64)));
        assert_eq!(bytes(&id(i), "sessionAttr:user"), hex(&text(&format!("zoë {i}"))));
    }
    assert_eq!(
        (bytes(&id(0), "sessionAttr:gone"), bytes("json", "maxInactiveInterval")),
        (String::new(), hex(b"1800"))
    );
    // A boxed number of Java ends in its bytes, as docs/presets.md says.
    let read = "SELECT ('x' || right(encode(value, 'hex'), 16))::bit(64)::bigint FROM spring.session_fields \
                WHERE field = 'creationTime' ORDER BY 1 LIMIT 1";
    assert_eq!(case.number(read), CREATED);
    let row = format!("session_id = '{}' AND field = 'creationTime'", id(3));
    same_expiry(&case, &format!("spring:session:sessions:{}", id(3)), "spring.session_fields", &row);
}
