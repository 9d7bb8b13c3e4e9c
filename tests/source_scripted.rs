//! The Redis source against a scripted server, for what a real one can't be made to do on cue.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on has failed, in its helpers too")]

use redis2pg::model::RedisKey;
use redis2pg::source::redis::{RedisSource, SourceSettings};
use redis2pg::source::{Scan, ScanPage, Source};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What the script answers.
enum Answer {
    Reply(String),
    Close,
}

type Script = Arc<dyn Fn(usize, &[String]) -> Option<Answer> + Send + Sync>;

/// Serves RESP2: the script first (number of the connection, command), then what every server knows.
async fn serve(script: impl Fn(usize, &[String]) -> Option<Answer> + Send + Sync + 'static) -> RedisSource {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let script: Script = Arc::new(script);
    tokio::spawn(async move {
        for connection in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(talk(stream, connection, script.clone()));
        }
    });
    let settings = SourceSettings::new(format!("redis://127.0.0.1:{port}"));
    RedisSource::connect(&settings, None).await.unwrap()
}

async fn talk(stream: TcpStream, connection: usize, script: Script) {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    while let Some(command) = command(&mut read).await {
        let answer = script(connection, &command).unwrap_or_else(|| usual(&command));
        match answer {
            Answer::Reply(text) => write.write_all(text.as_bytes()).await.unwrap(),
            Answer::Close => return,
        }
    }
}

async fn command(read: &mut (impl AsyncBufReadExt + Unpin)) -> Option<Vec<String>> {
    let mut line = String::new();
    if read.read_line(&mut line).await.ok()? == 0 {
        return None;
    }
    let count: usize = line.trim().strip_prefix('*')?.parse().ok()?;
    let mut words = Vec::new();
    for _ in 0..count {
        line.clear();
        read.read_line(&mut line).await.ok()?;
        let length: usize = line.trim().strip_prefix('$')?.parse().ok()?;
        let mut word = vec![0; length + 2];
        read.read_exact(&mut word).await.ok()?;
        word.truncate(length);
        words.push(String::from_utf8(word).unwrap());
    }
    Some(words)
}

fn usual(command: &[String]) -> Answer {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    Answer::Reply(match words[0] {
        "PING" => "+PONG\r\n".to_owned(),
        "INFO" => info("a"),
        "CLIENT" if words[1] == "ID" => ":1\r\n".to_owned(),
        "CLIENT" => "+OK\r\n".to_owned(),
        "SCAN" => page("0", &[]),
        "MGET" => format!("*{}\r\n{}", words.len() - 1, "$-1\r\n".repeat(words.len() - 1)),
        "TYPE" => "+none\r\n".to_owned(),
        "STRLEN" => ":0\r\n".to_owned(),
        "PEXPIRETIME" => ":-2\r\n".to_owned(),
        other => format!("-ERR unknown command '{other}'\r\n"),
    })
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

fn info(run_id: &str) -> String {
    bulk(&format!("# Server\r\nredis_version:7.2.0\r\nrun_id:{run_id}\r\n"))
}

fn page(cursor: &str, keys: &[&str]) -> String {
    let keys_text: String = keys.iter().map(|key| bulk(key)).collect();
    format!("*2\r\n{}*{}\r\n{keys_text}", bulk(cursor), keys.len())
}

/// The cursor of a SCAN of the scan itself (the check at connect asks for COUNT 1).
fn cursor(command: &[String]) -> Option<&str> {
    (command[0] == "SCAN" && command[3] != "1").then(|| command[1].as_str())
}

fn reply(text: String) -> Option<Answer> {
    Some(Answer::Reply(text))
}

async fn all(source: &RedisSource) -> Vec<ScanPage> {
    let mut scan = source.scan(None);
    let mut pages = Vec::new();
    while let Some(page) = scan.next().await.unwrap() {
        pages.push(page);
    }
    pages
}

fn names(pages: &[ScanPage]) -> Vec<String> {
    pages.iter().flat_map(|page| page.keys.iter().map(RedisKey::to_string)).collect()
}

/// Two pages: a and b behind cursor 0, c behind the largest cursor there is.
fn two_pages(cursor: &str) -> Option<Answer> {
    match cursor {
        "0" => reply(page("18446744073709551615", &["a", "b"])),
        "18446744073709551615" => reply(page("0", &["c"])),
        other => panic!("asked for cursor {other}"),
    }
}

#[tokio::test]
async fn a_connection_lost_while_the_server_is_learned_is_no_missing_ability() {
    for lost in ["INFO", "PEXPIRETIME", "CLIENT"] {
        let source =
            serve(move |connection, command| (connection == 0 && command[0] == lost).then_some(Answer::Close)).await;
        assert_eq!(source.run_id(), Some("a"), "{lost}");
        assert_eq!(source.reconnections(), 1, "{lost}");
    }
}

#[tokio::test]
async fn a_cursor_is_a_u64() {
    let source = serve(|_, command| cursor(command).and_then(two_pages)).await;
    let pages = all(&source).await;
    assert_eq!(names(&pages), ["a", "b", "c"]);
    assert_eq!(pages[0].resume_cursor, "18446744073709551615");
    assert!(!pages[0].last && pages[1].last);
}

#[tokio::test]
async fn empty_pages_and_a_repeated_page_are_passed_on() {
    let source = serve(|_, command| match cursor(command)? {
        "0" => reply(page("1", &["a"])),
        "1" => reply(page("2", &[])),
        "2" => reply(page("3", &["a"])),
        _ => reply(page("0", &[])),
    })
    .await;
    let pages = all(&source).await;
    assert_eq!(names(&pages), ["a", "a"]);
    assert_eq!(pages.iter().map(|page| page.number).collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[tokio::test]
async fn an_error_in_mid_scan_is_not_the_end() {
    let errors = Mutex::new(vec!["-LOADING Redis is loading the dataset in memory\r\n", "-BUSY script\r\n"]);
    let source = serve(move |_, command| {
        let cursor = cursor(command)?;
        if cursor != "0"
            && let Some(error) = errors.lock().unwrap().pop()
        {
            return reply(error.to_owned());
        }
        two_pages(cursor)
    })
    .await;
    let pages = all(&source).await;
    assert_eq!(names(&pages), ["a", "b", "c"]);
    assert!(pages.iter().all(|page| page.epoch == 0));
}

#[tokio::test]
async fn a_fatal_error_in_mid_scan_is_a_failure() {
    let source = serve(|_, command| match cursor(command)? {
        "0" => reply(page("7", &["a"])),
        _ => reply("-NOAUTH Authentication required.\r\n".to_owned()),
    })
    .await;
    let mut scan = source.scan(None);
    assert!(scan.next().await.unwrap().is_some());
    assert_eq!(scan.next().await.unwrap_err().exit.code(), 2);
}

#[tokio::test]
async fn a_socket_closed_in_mid_scan_goes_on_at_the_same_server() {
    let source = serve(|connection, command| match (connection, cursor(command)?) {
        (0, "18446744073709551615") => Some(Answer::Close),
        (_, cursor) => two_pages(cursor),
    })
    .await;
    let pages = all(&source).await;
    assert_eq!(names(&pages), ["a", "b", "c"]);
    assert!(pages.iter().all(|page| page.epoch == 0));
}

#[tokio::test]
async fn another_server_after_a_reconnection_is_scanned_from_the_beginning() {
    let source = serve(|connection, command| match (connection, command[0].as_str(), cursor(command)) {
        (0, _, Some("5")) => Some(Answer::Close),
        (0, _, Some(_)) => reply(page("5", &["a", "b"])),
        (_, "INFO", _) if connection > 0 => reply(info("b")),
        // The other server takes the old cursor without a word, and would end there.
        (_, _, Some("5")) => reply(page("0", &["lost"])),
        (_, _, Some("0")) => reply(page("6", &["x"])),
        (_, _, Some(_)) => reply(page("0", &["y"])),
        _ => None,
    })
    .await;
    let mut scan = source.scan(None);
    let first = scan.next().await.unwrap().unwrap();
    assert_eq!((first.epoch, first.number, scan.server_run_id()), (0, 0, Some("a")));
    let second = scan.next().await.unwrap().unwrap();
    assert_eq!((second.epoch, second.number, scan.server_run_id()), (1, 0, Some("b")));
    let third = scan.next().await.unwrap().unwrap();
    assert!(scan.next().await.unwrap().is_none());
    assert_eq!(names(&[first, second, third]), ["a", "b", "x", "y"]);
}

#[tokio::test]
async fn a_reply_of_another_length_is_a_hard_error() {
    let source = serve(|_, command| {
        (command[0] == "MGET" && command.len() == 4).then(|| Answer::Reply("*2\r\n$1\r\n1\r\n$1\r\n2\r\n".to_owned()))
    })
    .await;
    let keys = ["a", "b", "c"].map(RedisKey::new);
    let failure = source.fetch(&keys, false, 1 << 20).await.unwrap_err();
    assert_eq!(failure.exit.code(), 5);
    assert!(failure.message.contains("2 values for 3 keys"), "{failure}");
}

#[tokio::test]
async fn a_string_written_between_mget_and_type_is_read_again() {
    let asked = Mutex::new(0);
    let source = serve(move |_, command| match command[0].as_str() {
        "MGET" if command[1] == "late" => {
            let mut asked = asked.lock().unwrap();
            *asked += 1;
            reply(if *asked == 1 { "*1\r\n$-1\r\n".to_owned() } else { format!("*1\r\n{}", bulk("here")) })
        }
        "TYPE" if command[1] == "late" => reply("+string\r\n".to_owned()),
        _ => None,
    })
    .await;
    let page = source.fetch(&[RedisKey::new("late")], false, 1 << 20).await.unwrap();
    assert!(
        matches!(&page.records[0], redis2pg::model::Fetched::Record(record) if record.value == "here"),
        "{:?}",
        page.records
    );
}
