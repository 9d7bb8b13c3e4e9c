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
        ["from = ['$.a']", "from = ['redis.key']", "from = ['$.a', '{id}']", "from = ['value']", "default = 'x'"]
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
        ("", "from = [{source = '$.a', with = ['url_decode']}, 'redis.key'], nul = 'strip'"),
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

/// The findings of a mapping of one column `id` and these others.
fn told(settings: &str, columns: &str) -> String {
    let text = format!(
        "[[mapping]]\nname = \"m\"\nmatch = \"m:{{id}}\"\ninto = \"public.m\"\n{settings}\n\
         column = [{{ name = \"id\", from = [\"{{id}}\"] }}, {columns}]"
    );
    check_specs(&parse_mappings(&text).unwrap(), 0).iter().map(|finding| format!("{finding}\n")).collect()
}

#[test]
fn what_functions_make_of_json_is_not_what_a_column_expects() {
    let key = "key = 'id'";
    for setting in ["expect = 'object'", "unwrap_json_string = true"] {
        let name = setting.split(' ').next().unwrap();
        for from in
            ["from = '$.v', with = 'lower'", "from = ['redis.key', { source = '$.a', with = ['json', 'trim'] }]"]
        {
            let said = told(key, &format!("{{ name = 'v', {from}, {setting} }}"));
            assert!(said.contains(&format!("`{name}` is about JSON, and none")), "{from} {setting}: {said}");
        }
        for from in [
            "from = ['$.v', 'redis.key']",
            "from = '$.v', with = ['lower', 'json']",
            "from = [{ jq = '.v' }]",
            "from = ['redis.value']",
        ] {
            assert_eq!(told(key, &format!("{{ name = 'v', {from}, {setting} }}")), "", "{from} {setting}");
        }
    }
    let text = told(key, "{ name = 'v', type = 'text', from = '$.v', with = 'lower', expect = 'object' }");
    assert_eq!(text.matches("error:").count(), 1, "told once: {text}");
}

#[test]
fn what_the_next_run_sees_otherwise_identifies_no_row() {
    for source in ["run.time", "run.id", "redis.ttl", "redis.idle", "redis.version", "redis.expires_at"] {
        for column in [
            format!("{{ name = 'x', from = '{source}' }}"),
            format!("{{ name = 'x', from = ['$.x', {{ source = '{source}', with = ['substring(0, 8)'] }}] }}"),
        ] {
            for explode in ["", "\nexplode = true"] {
                let said = told(&format!("key = ['id', 'x']{explode}"), &column);
                assert!(said.contains(&format!("public.m.x: `from`: `{source}` is another one")), "{column}: {said}");
            }
            assert_eq!(told("key = 'id'", &column), "", "it is no part of the key");
        }
    }
    for source in ["redis.digest", "redis.type", "redis.db", "{id}-{$.x}", "$.x"] {
        assert_eq!(told("key = ['id', 'x']", &format!("{{ name = 'x', from = '{source}' }}")), "", "{source}");
    }
    let lineage = "key = ['id', 'x']\nlineage = { columns = { key = 'k', digest = 'd', run = 'x' } }";
    assert!(told(lineage, "").contains("public.m.x: `from`: `run.id`"), "a column of the lineage");
}

#[test]
fn settings_that_no_value_of_the_types_has_a_use_for_are_refused() {
    const ALL: [&str; 6] = [
        "nul = 'strip'",
        "surrogates = 'replace'",
        "nonfinite = 'null'",
        "invalid_utf8 = 'latin1'",
        "duplicate_keys = 'reject'",
        "unwrap_json_string = true",
    ];
    for (types, useful) in [
        ("type = 'hash'", &["nul", "invalid_utf8"][..]),
        ("type = 'set'", &["nul", "invalid_utf8"]),
        ("type = ['list', 'zset']", &["nul", "nonfinite", "invalid_utf8"]),
        ("type = 'stream'", &["nul", "invalid_utf8", "duplicate_keys"]),
        ("type = 'hash'\nitems = 'json'", &["nul", "surrogates", "nonfinite", "invalid_utf8", "duplicate_keys"]),
        (
            "type = ['hash', 'json']",
            &["nul", "surrogates", "nonfinite", "invalid_utf8", "duplicate_keys", "unwrap_json_string"],
        ),
        ("type = ['hash', 'string']\ndecode = ['bytes']", &["nul", "invalid_utf8"]),
    ] {
        for setting in ALL {
            let name = setting.split(' ').next().unwrap();
            let said = told(&format!("key = 'id'\n{types}\n{setting}"), "{ name = 'v', from = 'redis.type' }");
            let refused = said.contains(&format!("mapping m: `{name}` does"));
            assert_eq!(refused, !useful.contains(&name), "{types} {setting}: {said}");
        }
    }
}

#[test]
fn keys_of_json_that_a_function_reads_can_be_judged() {
    let settings = "key = 'id'\ntype = 'hash'\nduplicate_keys = 'reject'";
    for column in ["from = '$.a', with = ['json']", "from = [{ source = '$.a', with = 'json' }]"] {
        assert_eq!(told(settings, &format!("{{ name = 'v', {column} }}")), "", "{column}");
    }
    assert!(told(settings, "{ name = 'v', from = '$.a', with = ['trim'] }").contains("`duplicate_keys` does nothing"));
}

#[test]
fn settings_about_values_that_are_not_decoded_are_refused() {
    let column = "{ name = 'v', from = 'redis.value' }";
    for setting in
        ["decode = ['gzip', 'json']", "nul = 'strip'", "type = 'hash'\nitems = 'json'", "unwrap_json_string = true"]
    {
        let said = told(&format!("key = 'id'\n{setting}"), column);
        assert!(said.contains("does nothing: the mapping reads no value that is decoded"), "{setting}: {said}");
        let both = format!("{column}, {{ name = 'w', from = '$' }}");
        assert_eq!(told(&format!("key = 'id'\n{setting}"), &both), "", "{setting}: another column reads it");
    }
    assert_eq!(told("key = 'id'", column), "");
}

#[test]
fn what_stands_behind_a_source_that_always_has_a_value_is_told() {
    let column = |settings: &str| told("key = 'id'", &format!("{{ name = 'v', {settings} }}"));
    for (settings, part) in [
        ("from = [{ value = 'x' }, '$.a']", "`from`: `the constant x` always has a value: `$.a` is never looked at"),
        ("from = ['$.a', { value = 0 }], default = 1", "`default` is never needed: `the constant 0`"),
        ("from = ['$.a', { json = '{}' }], null_as = '[]'", "`null_as` is never needed"),
        ("from = ['redis.key', '$.a']", "`$.a` is never looked at"),
        ("from = ['{id}-x', '{id}']", "`{id}` is never looked at"),
        ("from = ['run.time', '$.a']", "`$.a` is never looked at"),
    ] {
        let said = column(settings);
        assert!(said.contains(part) && said.matches("error:").count() == 1, "{settings}: {said}");
    }
    for settings in [
        "from = ['$.a', { value = 'x' }]",
        "from = [{ value = 'x', when = '$.a' }, '$.b'], default = 'y'",
        "from = [{ value = 'x' }, '$.a'], null_tokens = ['x']",
        "from = ['{id}'], with = ['strip_prefix(\"a\")', 'split(\"-\", 1)'], default = 'y'",
        "from = ['{id}', '$.a'], null_tokens = ['none']",
        "from = ['{id}-{$.a}', '{id}']",
        "from = ['redis.expires_at'], default = 'infinity'",
    ] {
        assert_eq!(column(settings).replace('"', "'"), "", "{settings}");
    }
}

#[test]
fn settings_that_contradict_each_other_are_told() {
    let column = |settings: &str| told("key = 'id'", &format!("{{ name = 'v', from = '$.a', {settings} }}"));
    assert!(column("required = true, optional = true").contains("`required` and `optional` contradict"));
    assert!(column("empty_as_null = true, null_tokens = ['x', '']").contains("`null_tokens` names the empty text"));
    assert_eq!(column("empty_as_null = true, null_tokens = ['x'], required = true"), "");
    assert!(told("key = 'id'\nexclude = 'm:{x..}'", "").contains("`exclude` takes every key that `match` takes"));
    assert_eq!(told("key = 'id'\nexclude = 'm:{x:int}'", ""), "");
    let many =
        |count: usize| (1..count).map(|index| format!("{{ name = 'c{index}', from = '$.a' }},")).collect::<String>();
    assert!(told("key = 'id'", &many(65)).contains("`column`: 65 columns"));
    assert_eq!(told("key = 'id'", &many(64)), "");
}

#[test]
fn many_mappings_are_compared_in_no_time() {
    let mapping = |index: usize, keys: &str| {
        format!(
            "[[mapping]]\nname = 'm{index}'\nmatch = '{keys}'\ninto = 'public.m'\nkey = 'id'\n\
             column = [{{ name = 'id', from = '{{id}}' }}]\n"
        )
    };
    let prefixes = (0..150).map(|index| mapping(index, &format!("k{index}:{{id}}")));
    let suffixes = (150..300).map(|index| mapping(index, &format!("app:{{id}}:k{index}")));
    let text: String = prefixes.chain(suffixes).collect();
    let mut specs = parse_mappings(&text).unwrap();
    let begun = std::time::Instant::now();
    assert_eq!(check_specs(&specs, 0), []);
    // A pair of automata takes milliseconds in a debug build, and there are 45,000 pairs.
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
    specs[299].matches = "k7:{id}".into();
    let told = check_specs(&specs, 0);
    assert!(told.len() == 1 && told[0].message.contains("taken by `m7` as well"), "{told:?}");
}
