//! A Redis that notes what it is asked.

use super::app::Client;
use redis2pg::sandbox::{RedisOptions, RedisServer};

/// A server of the test's own that notes each command.
pub(crate) fn noting() -> RedisServer {
    let settings = ["slowlog-log-slower-than 0", "slowlog-max-len 100000"].map(str::to_owned).to_vec();
    RedisServer::start(RedisOptions { settings, ..RedisOptions::default() }).expect("start redis-server")
}

/// The commands of this name that such a server was asked for since `CONFIG SET` or `SLOWLOG RESET`, the first of them first.
pub(crate) fn asked(redis: &mut Client, command: &str) -> Vec<Vec<String>> {
    const SCRIPT: &str = "local found = {} for _, one in ipairs(redis.call('SLOWLOG', 'GET', -1)) do \
        if one[4][1] == ARGV[1] then table.insert(found, 1, table.concat(one[4], ' ')) end end \
        return table.concat(found, '\\n')";
    let found = redis.bytes(&[b"EVAL", SCRIPT.as_bytes(), b"0", command.as_bytes()]);
    let found = String::from_utf8_lossy(&found).into_owned();
    found.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
}
