//! Which commands the mappings take, and what there is to say where this user may not run one.

use crate::mapping::{MappingSpec, Plan, wanted_of};
use crate::model::{Failure, Finding, RedisKey, RedisType, Side, ValueWanted, Wanted};
use crate::source::redis::{Permission, RedisSource};
use std::collections::{BTreeMap, BTreeSet};

/// Commands that something takes: those of one of the groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Need {
    groups: &'static [&'static [&'static str]],
    /// What is lost without them; `None`: a run cannot do without.
    lost: Option<&'static str>,
}

const fn must(groups: &'static [&'static [&'static str]]) -> Need {
    Need { groups, lost: None }
}

const fn may(groups: &'static [&'static [&'static str]], lost: &'static str) -> Need {
    Need { groups, lost: Some(lost) }
}

const SCAN: Need = must(&[&["scan"]]);
/// What it takes to tell which keys are gone.
const GONE: Need = must(&[&["type"]]);
const SCRIPTS: Need =
    may(&[&["eval_ro"]], "times of expiry, types and lengths are asked for key by key, which is slower");

/// What a mapping that wants this takes. The nodes of a cluster are asked for strings one by one.
fn needs(wanted: Wanted, cluster: bool) -> Vec<Need> {
    let mut needs = vec![SCRIPTS];
    if wanted.types.only() == Some(RedisType::String) && !wanted.has_facts() {
        needs.extend([must(if cluster { &[&["get"]] } else { &[&["mget"]] }), must(&[&["strlen"]])]);
        needs.push(may(&[&["type"]], "it is not told which other type a key has that holds no string"));
    } else {
        needs.push(must(&[&["type"]]));
        needs.push(may(&[&["memory|usage"]], "no value is known to be small: each is read by itself, which is slower"));
    }
    if wanted.expiry {
        needs.push(must(&[&["pexpiretime"], &["pttl", "time"]]));
    }
    if wanted.dump {
        needs.push(must(&[&["dump"]]));
    }
    if wanted.idle {
        needs.push(may(&[&["object|idletime"]], "redis.idle is null"));
    }
    if wanted.streams {
        needs.push(must(&[&["getrange", "exists"]]));
    }
    if wanted.value != ValueWanted::Never {
        needs.extend(wanted.types.iter().filter_map(|redis_type| of_type(redis_type, wanted)));
    }
    needs
}

/// What values of a type are read by.
fn of_type(redis_type: RedisType, wanted: Wanted) -> Option<Need> {
    Some(match redis_type {
        RedisType::String if wanted.types.only().is_some() && !wanted.has_facts() => return None,
        RedisType::String => must(&[&["get"]]),
        RedisType::Hash => must(&[&["hgetall", "hscan"]]),
        RedisType::Set => must(&[&["smembers", "sscan"]]),
        RedisType::Zset => must(&[&["zrange", "zscan"]]),
        RedisType::List => must(&[&["lrange"]]),
        RedisType::Stream => must(&[&["xrange"]]),
        RedisType::Json if wanted.types.only().is_some() => must(&[&["json.get"]]),
        RedisType::Json => may(&[&["json.get"]], "documents of RedisJSON cannot be read"),
        RedisType::Module => return None,
    })
}

/// Finds out what this user may not run that the mappings take. They go by the plan where there is one; without it, by
/// what they say themselves.
///
/// # Errors
/// Redis is gone.
pub(super) async fn judge(
    source: &RedisSource,
    specs: &[MappingSpec],
    plan: Option<&Plan>,
    deletes_gone: bool,
) -> Result<Vec<Finding>, Failure> {
    let wants: Vec<(&str, Wanted)> = match plan {
        Some(plan) => plan.mappings().map(|(_, mapping)| (mapping.name(), mapping.wanted())).collect(),
        None => specs.iter().filter_map(|spec| Some((spec.name.as_str(), wanted_of(spec)?))).collect(),
    };
    let mut needed: BTreeMap<Need, Vec<&str>> = BTreeMap::from([(SCAN, Vec::new())]);
    if deletes_gone {
        needed.insert(GONE, Vec::new());
    }
    for (mapping, wanted) in wants {
        needs(wanted, source.is_cluster()).into_iter().for_each(|need| needed.entry(need).or_default().push(mapping));
    }
    let commands: BTreeSet<&str> = needed.keys().flat_map(|need| need.groups.concat()).collect();
    let commands: Vec<&str> = commands.into_iter().collect();
    let permissions: BTreeMap<&str, Permission> =
        commands.iter().copied().zip(source.permissions(&commands).await?).collect();
    Ok(findings(&needed, &permissions, source.user()))
}

fn findings(needed: &BTreeMap<Need, Vec<&str>>, permissions: &BTreeMap<&str, Permission>, user: &str) -> Vec<Finding> {
    let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut findings = Vec::new();
    for (need, mappings) in needed {
        let refused = refused(need, permissions);
        match need.lost {
            _ if refused.is_empty() => {}
            None => refused.iter().for_each(|command| missing.entry(*command).or_default().extend(mappings)),
            Some(lost) => {
                let message = format!("may not run {}: {lost}", spoken(&refused));
                findings.push(Finding::warning(Side::Redis, format!("user {user}"), message, grant(user, &refused)));
            }
        }
    }
    if !missing.is_empty() {
        let named = missing.iter().map(|(command, mappings)| {
            let mappings: Vec<&str> = mappings.iter().copied().collect();
            let of = if mappings.is_empty() { String::new() } else { format!(" (for {})", mappings.join(", ")) };
            format!("{}{of}", spoken(&[command]))
        });
        let message = format!("may not run {}, which reading takes", named.collect::<Vec<_>>().join(", "));
        let commands: Vec<&str> = missing.keys().copied().collect();
        findings.push(Finding::critical(Side::Redis, format!("user {user}"), message, grant(user, &commands)));
    }
    findings
}

/// The commands without which the need is not met; none where it is, or where the server has none of them.
fn refused(need: &Need, permissions: &BTreeMap<&str, Permission>) -> Vec<&'static str> {
    let is = |command: &str, permission| permissions.get(command) == Some(&permission);
    if need.groups.iter().any(|group| group.iter().all(|command| is(command, Permission::Granted))) {
        return Vec::new();
    }
    let known = need.groups.iter().find(|group| !group.iter().any(|command| is(command, Permission::Unknown)));
    let refused = known.into_iter().copied().flatten();
    refused.copied().filter(|command| is(command, Permission::Refused)).collect()
}

/// Whether a later cleanup could delete: keys are compared and deleted by a script, or under a watch.
///
/// # Errors
/// Redis is gone.
pub(super) async fn cleanup(source: &RedisSource, example: Option<&RedisKey>) -> Result<Option<Finding>, Failure> {
    const WRITES: [&str; 4] = ["unlink KEY", "eval x 1 KEY", "watch KEY", "multi"];
    let said = source.might(&WRITES, example).await?;
    let [unlink, eval, watch, multi] = said.as_slice() else { return Ok(None) };
    let mut refused = Vec::new();
    if *unlink == Permission::Refused {
        refused.push("unlink");
    }
    if *eval == Permission::Refused && [watch, multi].contains(&&Permission::Refused) {
        refused.push("eval");
    }
    Ok((!refused.is_empty()).then(|| {
        let message =
            format!("may not run {} on the keys: a later cleanup could delete none of them", spoken(&refused));
        let hint = format!("A run needs none of it. Before a cleanup: {}", grant(source.user(), &refused));
        Finding::warning(Side::Redis, format!("user {}", source.user()), message, hint)
    }))
}

fn spoken(commands: &[&str]) -> String {
    let spoken: Vec<String> = commands.iter().map(|command| command.to_uppercase().replace('|', " ")).collect();
    spoken.join(", ")
}

fn grant(user: &str, commands: &[&str]) -> String {
    let commands: Vec<String> = commands.iter().map(|command| format!("+{command}")).collect();
    format!("ACL SETUSER {user} {}", commands.join(" "))
}

#[cfg(test)]
mod tests {
    use super::{Need, findings, must, needs};
    use crate::model::{RedisType, RedisTypes, Severity, Wanted};
    use crate::source::redis::Permission::{Granted, Refused, Unknown};
    use std::collections::BTreeMap;

    #[test]
    fn any_group_will_do_and_what_the_server_lacks_is_nobodys_right() {
        let expiry: Need = must(&[&["pexpiretime"], &["pttl", "time"]]);
        for (pexpiretime, pttl, time, named) in [
            (Granted, Refused, Refused, ""),
            (Refused, Granted, Granted, ""),
            (Refused, Refused, Granted, "+pexpiretime"),
            (Unknown, Granted, Refused, "+time"),
            (Unknown, Unknown, Unknown, ""),
        ] {
            let permissions = BTreeMap::from([("pexpiretime", pexpiretime), ("pttl", pttl), ("time", time)]);
            let found = findings(&BTreeMap::from([(expiry, vec!["m"])]), &permissions, "u");
            let told = found.first().map(|finding| finding.hint.clone()).unwrap_or_default();
            assert_eq!(told.trim_start_matches("ACL SETUSER u "), named);
            assert!(found.iter().all(|finding| finding.severity == Severity::Critical));
        }
    }

    #[test]
    fn each_type_takes_what_reads_it() {
        let commands = |types: &[RedisType], wanted: Wanted| {
            let types: RedisTypes = types.iter().copied().collect();
            let needs = needs(Wanted { types, ..wanted }, false);
            let must = needs.iter().filter(|need| need.lost.is_none());
            must.flat_map(|need| need.groups.concat()).collect::<Vec<_>>().join(" ")
        };
        let plain = Wanted::strings(false);
        assert_eq!(commands(&[RedisType::String], plain), "mget strlen");
        assert_eq!(commands(&[RedisType::String], Wanted { dump: true, ..plain }), "type dump get");
        assert_eq!(commands(&[RedisType::Hash, RedisType::List], plain), "type hgetall hscan lrange");
        assert_eq!(commands(&[RedisType::Json], Wanted::strings(true)), "type pexpiretime pttl time json.get");
        assert_eq!(commands(&[RedisType::String, RedisType::Json], plain), "type get");
    }
}
