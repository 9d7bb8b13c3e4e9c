//! What is found without a server.

use super::super::{check_specs, parse_mappings};

/// The findings of a mapping with these settings and the sources of a column `c`.
fn found(settings: &str, column: &str) -> String {
    let text = format!(
        "[[mapping]]\nname = \"m\"\nmatch = \"m:{{id}}\"\ninto = \"public.m\"\nkey = [\"id\", \"c\"]\n{settings}\n\
         column = [{{ name = \"id\", from = [\"{{id}}\"] }}, {{ name = \"c\", {column} }}]"
    );
    let findings = check_specs(&parse_mappings(&text).unwrap());
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
    assert!(found("", place).contains("public.m.c: `element.index` is the place of an element"));
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
fn a_column_named_twice_in_the_key_is_told() {
    let text = "[[mapping]]\nname = 'm'\nmatch = 'm:{id}'\ninto = 'public.m'\nkey = ['id', 'id']\n\
                column = [{ name = 'id', from = ['{id}'] }]";
    let findings = check_specs(&parse_mappings(text).unwrap());
    let told: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(told, ["`key` names the column id twice"]);
}

/// The examples of the documentation that are TOML.
fn examples() -> impl Iterator<Item = &'static str> {
    let docs = include_str!("../../../docs/mapping.md");
    docs.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next())
}

#[test]
fn the_mappings_of_the_documentation_have_no_mistakes() {
    let users = "\n[[mapping]]\nname = 'users'\nmatch = 'user:{id}'\ninto = 'shop.users'\nkey = 'id'\n\
                 column = [{ name = 'id', from = '{id}' }]\n";
    let mut read = 0;
    for example in examples().filter(|text| text.contains("[[mapping]]")) {
        // Some leave their columns out, and one names a parent that the reader knows.
        let column = if example.contains("column") { "" } else { "\n[[mapping.column]]\nname = 'id'\nfrom = '{id}'\n" };
        let parent = if example.contains("mapping = \"users\"") { users } else { "" };
        let specs =
            parse_mappings(&format!("{example}{column}{parent}")).unwrap_or_else(|error| panic!("{error}: {example}"));
        let found: Vec<String> = check_specs(&specs).iter().map(ToString::to_string).collect();
        assert!(found.is_empty(), "{example}{found:#?}");
        read += specs.len();
    }
    assert!(read > 8, "{read}");
}

#[test]
fn the_patterns_of_the_documentation_can_be_read() {
    let lines = examples().flat_map(str::lines).filter(|line| line.starts_with("match ="));
    let mut read = 0;
    for line in lines {
        let text = format!(
            "[[mapping]]\nname = 'a'\n{line}\ninto = 'a.a'\nkey = 'a'\ncolumn = [{{ name = 'a', from = 'redis.key' }}]"
        );
        let found = check_specs(&parse_mappings(&text).unwrap_or_else(|error| panic!("{error}: {line}")));
        assert!(found.is_empty(), "{line}: {found:?}");
        read += 1;
    }
    assert!(read > 15, "{read}");
}
