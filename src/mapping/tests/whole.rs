//! Whether the rows of a mapping hold all that its keys hold.

use super::{column, map_with, record, stamp, table};
use crate::mapping::{Plan, parse_mappings};
use crate::model::{ColumnType, MappingId, Shape};

fn plan(more: &str, columns: &str, types: &[(&str, ColumnType)]) -> Plan {
    let text = format!(
        "[[mapping]]\nname = \"m\"\nmatch = \"k:{{id}}\"\ninto = \"public.t\"\n{more}\ncolumn = [{{ name = \"id\", from = [\"{{id}}\"] }}, {columns}]"
    );
    let id = ("id", ColumnType::Text);
    let types = std::iter::once(&id).chain(types).map(|(name, kind)| column(name, kind.clone(), *name == "id", false));
    let tables = [table("public.t", types.collect())].into();
    Plan::compile(&parse_mappings(&text).unwrap(), &tables, stamp()).unwrap_or_else(|found| panic!("{found:?}"))
}

fn keeps(more: &str, columns: &str) -> bool {
    let types = [
        ("data", ColumnType::Jsonb),
        ("text", ColumnType::Text),
        ("bytes", ColumnType::Bytea),
        ("a", ColumnType::Text),
        ("b", ColumnType::Text),
        ("n", ColumnType::Int8),
    ];
    let more = if more.contains("key = ") { more.to_owned() } else { format!("{more}\nkey = [\"id\"]") };
    plan(&more, columns, &types).mapping(MappingId(0)).keeps_whole()
}

const WHOLE: &str = "{ name = \"data\", from = [\"$\"] }";

#[test]
fn a_column_has_all_of_a_value_only_where_nothing_makes_another_of_it() {
    assert!(keeps("", WHOLE));
    assert!(keeps("decode = [\"text\"]", "{ name = \"text\", from = [\"value\"] }"));
    assert!(keeps("decode = [\"gzip\", \"json\"]", WHOLE), "what was packed is there unpacked");
    assert!(keeps("", "{ name = \"bytes\", from = [\"redis.dump\"] }"));
    for more in [
        "nul = \"strip\"",
        "invalid_utf8 = \"cp1252\"",
        "nonfinite = \"null\"",
        "surrogates = \"replace\"",
        "unwrap_json_string = true",
        "decode = [\"msgpack\"]",
        "type = \"hash\"\nitems = \"json\"\nempty_items = \"null\"",
    ] {
        assert!(!keeps(more, WHOLE), "{more}");
    }
    for column in [
        "{ name = \"text\", from = [\"$.a\"] }",
        "{ name = \"text\", from = [\"$\"], with = [\"lower\"] }",
        "{ name = \"text\", from = [{ source = \"$\", with = [\"lower\"] }] }",
        "{ name = \"data\", from = [{ source = \"$\", when = \"$.a\" }] }",
        "{ name = \"data\", from = [\"$.a\", \"$\"] }",
        "{ name = \"data\", from = [\"$\"], unwrap_json_string = true }",
        "{ name = \"text\", from = [\"$\"], null_tokens = [\"x\"] }",
        "{ name = \"absent\", from = [\"$\"], optional = true }",
        // NULL where JSON cannot hold the value.
        "{ name = \"data\", from = [\"redis.value\"] }",
    ] {
        assert!(!keeps("", column), "{column}");
    }
}

#[test]
fn the_rest_is_whole_with_what_it_leaves_out_and_not_without() {
    let rest = |others: &str| format!("{{ name = \"data\", from = [\"rest\"] }}{others}");
    assert!(keeps("", &rest("")));
    assert!(keeps("", &rest(", { name = \"a\", from = [\"$.a\"] }")));
    for others in [
        // The rest of `$.a` is nowhere; nor is the field that another one comes before.
        ", { name = \"a\", from = [\"$.a.b\"] }",
        ", { name = \"a\", from = [\"$.a\", \"$.b\"] }",
        ", { name = \"a\", from = [\"{$.a}-{$.b}\"] }",
        ", { name = \"a\", from = [\"$.a\"], with = [\"lower\"] }",
        ", { name = \"a\", from = [\"$.a\"], empty_as_null = true }",
    ] {
        assert!(!keeps("", &rest(others)), "{others}");
    }
    assert!(!keeps("", "{ name = \"data\", from = [{ source = \"rest\", except = [\"a\"] }] }"));
    // A column that the table lacks takes nothing out of the rest.
    assert!(keeps("", &rest(", { name = \"absent\", from = [\"$.a\"], optional = true }")));
}

#[test]
fn of_a_key_that_is_several_rows_their_order_counts_and_what_is_beside_them() {
    let element = "{ name = \"data\", from = [\"$\"] }, { name = \"a\", from = [\"$.a\"] }";
    let numbered = format!("{element}, {{ name = \"n\", from = [\"element.index\"] }}");
    let keyed = |explode: &str, key: &str| format!("explode = {explode}\nkey = [\"id\", \"{key}\"]");
    assert!(keeps(&keyed("true", "n"), &numbered));
    assert!(!keeps(&keyed("true", "a"), element), "a JSON array has an order");
    assert!(!keeps(&keyed("\"$.lines\"", "n"), &numbered));
    assert!(keeps(&format!("type = \"hash\"\n{}", keyed("true", "a")), &element.replace("$.a", "$.field")));
}

#[test]
fn of_a_collection_that_is_several_rows_its_parts_are_all_of_it() {
    let column = |name: &str, part: &str| format!("{{ name = \"{name}\", from = [\"$.{part}\"] }}");
    let of = |redis_type: &str, key: &str, columns: &[String]| {
        let more = format!("type = \"{redis_type}\"\nexplode = true\nkey = [\"id\", \"{key}\"]");
        keeps(&more, &columns.join(", "))
    };
    let (field, value, index) = (column("a", "field"), column("b", "value"), column("n", "index"));
    assert!(of("hash", "a", &[field.clone(), value.clone()]));
    assert!(!of("hash", "a", std::slice::from_ref(&field)));
    assert!(!of("hash", "a", &[field.clone(), value.replace("$.value", "$.value.x")]));
    assert!(!of("hash", "a", &[field, value.replace("] }", "], with = [\"lower\"] }")]));
    assert!(of("list", "n", &[index, value.clone()]));
    assert!(of("list", "n", &["{ name = \"n\", from = [\"element.index\"] }".to_owned(), value.clone()]));
    assert!(!of("list", "b", &[value]), "a list has an order");
    assert!(of("set", "a", &[column("a", "member")]));
    assert!(of("zset", "a", &[column("a", "member"), column("b", "score")]));
    assert!(!of("zset", "a", &[column("a", "member")]));
    assert!(of("stream", "a", &[column("a", "id"), column("data", "fields")]));
    assert!(!of("stream", "a", &[column("a", "id"), column("data", "fields.x")]));
}

#[test]
fn elements_are_rows_of_their_own_only_where_the_place_is_in_the_key_whatever_they_hold() {
    let tells = |from: &str| {
        let columns = format!("{{ name = \"n\", from = [{from}] }}, {{ name = \"data\", from = [\"$.value\"] }}");
        let more = "type = \"list\"\nexplode = true\nkey = [\"id\", \"n\"]";
        let types = [("n", ColumnType::Int8), ("data", ColumnType::Jsonb)];
        let plan = plan(more, &columns, &types);
        let mapping = plan.mapping(MappingId(0));
        (mapping.tells_places_apart(), mapping.knows_by_place())
    };
    assert_eq!(tells("\"element.index\""), (true, true));
    assert_eq!(tells("\"$.index\""), (true, true));
    assert_eq!(tells("\"$.value.pos\", \"element.index\""), (false, true));
    assert_eq!(tells("\"$.index.x\""), (false, true));
    assert_eq!(tells("\"$.value.pos\""), (false, false));
}

/// The places of the columns that are told to round.
fn rounded(plan: &Plan, value: &str) -> Vec<usize> {
    let row = map_with(plan, &record("k:1", value)).unwrap();
    assert!(row.altered.is_empty() && row.losses.server_reads == Shape::default(), "{row:?}");
    row.losses.rounded.places().collect()
}

#[test]
fn what_a_column_rounds_is_told_unless_another_has_all_of_the_value() {
    let types = [("f", ColumnType::Float4), ("data", ColumnType::Jsonb)];
    let rounding = "{ name = \"f\", from = [\"$.f\"] }";
    let alone = plan("key = [\"id\"]", rounding, &types);
    let exactly = r#"{"f":0.25}"#;
    let beyond = r#"{"f":1.23456789012345}"#;
    assert_eq!(rounded(&alone, beyond), [0; 0], "a load is not told");
    let telling = alone.telling_losses(|_, _| false);
    assert_eq!((rounded(&telling, exactly), rounded(&telling, beyond)), (vec![], vec![1]));
    let beside = plan("key = [\"id\"]", &format!("{rounding}, {WHOLE}"), &types).telling_losses(|_, _| false);
    assert_eq!(rounded(&beside, beyond), [0; 0]);
    // A column that has the whole value only as another one, or as NULL, does not do.
    let bent = plan(
        "key = [\"id\"]",
        &format!("{rounding}, {{ name = \"data\", from = [\"$\"], with = [\"text\"] }}"),
        &types,
    );
    assert_eq!(rounded(&bent.telling_losses(|_, _| false), beyond), [1]);
    let itself = plan("key = [\"id\"]", "{ name = \"f\", from = [\"$\"] }", &types).telling_losses(|_, _| false);
    assert_eq!((rounded(&itself, "0.25"), rounded(&itself, "16777217")), (vec![], vec![1]));
}
