//! What is found without a server.

use super::super::{check_specs, parse_mappings};

/// The findings of a mapping with these settings and the sources of a column `c`.
fn found(settings: &str, column: &str) -> String {
    let text = format!(
        "[[mapping]]\nname = \"m\"\nmatch = \"m:{{id}}\"\ninto = \"public.m\"\nkey = [\"id\", \"c\"]\n{settings}\n\
         column = [{{ name = \"id\", from = [\"{{id}}\"] }}, {{ name = \"c\", {column} }}]"
    );
    let findings = check_specs(&parse_mappings(&text).unwrap(), 0);
    findings.iter().map(|finding| format!("{finding}\n")).collect()
}

#[test]
fn a_columns_nul_that_could_never_act_is_refused() {
    let refused = |settings: &str, column: &str| found(settings, column).contains("public.m.c: `nul` does nothing");
    for from in
        ["from = ['$.a']", "from = ['redis.key']", "from = ['{id}', '$.a']", "from = ['value']", "default = 'x'"]
    {
        assert!(refused("", &format!("{from}, nul = 'strip'")), "{from}");
        assert_eq!(found("", from), "", "{from}");
    }
    assert!(refused("type = 'hash'", "from = ['$.a'], with = ['lower'], nul = 'replace'"));
    assert!(refused("decode = ['text']\nnul = 'strip'", "from = ['value'], nul = 'strip'"));
    for (settings, column) in [
        ("decode = ['text']", "from = ['value'], nul = 'strip'"),
        ("decode = ['bytes']", "from = ['value'], nul = 'strip'"),
        ("", "from = ['$.a'], with = ['base64_decode'], nul = 'strip'"),
        ("", "from = ['redis.key', {source = '$.a', with = ['url_decode']}], nul = 'strip'"),
        ("", "from = [{jq = '.a'}], nul = 'strip'"),
    ] {
        assert_eq!(found(settings, column), "", "{settings} {column}");
    }
}

#[test]
fn a_place_that_says_nothing_is_refused() {
    let place = "from = ['element.index']";
    assert!(found("", place).contains("public.m.c: `from`: `element.index` is the place of an element"));
    assert!(found("explode = false", place).contains("makes one row of a key"));
    for redis_type in ["hash", "set", "zset", "stream"] {
        let settings = format!("explode = true\ntype = ['list', '{redis_type}']");
        assert!(found(&settings, place).contains(&format!("says nothing of a {redis_type}")), "{redis_type}");
    }
    for settings in ["explode = true", "explode = '$.lines'", "explode = true\ntype = 'list'"] {
        assert_eq!(found(settings, place), "", "{settings}");
    }
}

#[test]
fn the_time_of_a_field_is_told_only_where_each_is_a_row() {
    for source in ["element.expires_at", "element.ttl"] {
        let time = format!("from = ['{source}']");
        for settings in ["type = 'hash'", "type = ['hash', 'string']\nexplode = false", "explode = '$.lines'"] {
            let found = found(settings, &time);
            assert!(found.contains(&format!("`{source}` is that of one field of a hash")), "{settings}: {found}");
        }
        assert!(found("explode = true\ntype = ['set', 'zset']", &time).contains("only the fields of hashes"));
        assert_eq!(found("explode = true\ntype = ['hash', 'set']", &time), "");
    }
}

#[test]
fn a_column_named_twice_in_the_key_is_told() {
    let text = "[[mapping]]\nname = 'm'\nmatch = 'm:{id}'\ninto = 'public.m'\nkey = ['id', 'id']\n\
                column = [{ name = 'id', from = ['{id}'] }]";
    let findings = check_specs(&parse_mappings(text).unwrap(), 0);
    let told: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(told, ["`key` names the column id twice"]);
}
