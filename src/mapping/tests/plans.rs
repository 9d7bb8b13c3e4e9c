//! The plan: its order, and the mistakes that it finds in mappings and tables.

use super::{column, hub, plan, preset, stamp};
use crate::mapping::{Comparison, Expired, MappingSpec, Plan, check_keys, parse_mappings};
use crate::model::{ColumnType, MappingId, Table, TableName};
use std::collections::HashMap;

#[test]
fn the_plan_orders_and_classifies() {
    let plan = plan();
    assert_eq!(plan.phases(), [[MappingId(0)], [MappingId(1)], [MappingId(2)]]);
    assert_eq!(plan.classify(b"analysis:1"), Some(MappingId(1)));
    assert_eq!(plan.classify(b"other"), None);
    let sessions = plan.mapping(MappingId(2));
    assert_eq!(sessions.columns()[0].name, "id");
    let comparison =
        |name: &str| sessions.comparison(sessions.columns().iter().position(|column| column.name == name).unwrap());
    assert_eq!(comparison("expires_at"), Comparison::WithinSecond);
    assert_eq!(comparison("metadata"), Comparison::WithoutLineage);
    assert_eq!(comparison("data"), Comparison::Exact);
    assert!(sessions.wanted().expiry);
}

fn findings(specs: &[MappingSpec], tables: &HashMap<TableName, Table>) -> String {
    let findings = Plan::compile(specs, tables, stamp()).expect_err("the plan should be refused");
    findings.iter().map(|finding| format!("{finding}\n")).collect()
}

#[test]
fn every_mistake_is_found_at_once() {
    let mut tables = hub();
    let name = TableName { schema: "document_hub".into(), table: "documents".into() };
    let columns = &mut tables.get_mut(&name).unwrap().columns;
    columns.retain(|column| column.name != "status");
    columns.push(column("owner", ColumnType::Text, true, false));
    for column in columns.iter_mut() {
        match column.name.as_str() {
            "file_size" => column.generated = true,
            "mime_type" => column.column_type = ColumnType::Unsupported("citext".into()),
            _ => {}
        }
    }
    let found = findings(&preset(), &tables);
    for part in ["documents.status", "documents.owner", "generated", "citext"] {
        assert!(found.contains(part), "{part} in {found}");
    }
    assert!(findings(&preset(), &HashMap::new()).contains("the table is missing"));
    assert!(findings(&[], &tables).contains("no mapping"));
}

#[test]
fn overlaps_circles_and_unreadable_settings_are_found() {
    let changed = |change: fn(&mut Vec<MappingSpec>)| {
        let mut specs = preset();
        change(&mut specs);
        findings(&specs, &hub())
    };
    let overlap = changed(|specs| specs[1].matches = "document:{id}:x".into());
    assert!(overlap.contains("taken by `documents` as well, such as `document:a:x`"), "{overlap}");
    assert!(changed(|specs| specs[0].matches = "document:{id".into()).contains("not closed"));
    assert!(
        changed(|specs| specs[0].after = vec!["sessions".into()]).contains("`after` leads back to the mapping itself")
    );
    assert!(changed(|specs| specs[0].after = vec!["nobody".into()]).contains("no mapping"));
    assert!(changed(|specs| specs[0].matches = "document:{x..}".into()).contains("no capture `id`"));
    assert!(changed(|specs| specs[0].into = "documents".into()).contains("schema.table"));
    assert!(changed(|specs| specs[0].columns[1].assume_timezone = Some("Mars".into())).contains("assume_timezone"));
    assert!(changed(|specs| specs[1].columns[3].null_as = Some("{".into())).contains("not JSON"));
    assert!(changed(|specs| specs[1].columns[2].default = Some("x".repeat(51))).contains("does not fit"));
    assert!(changed(|specs| specs[2].min_ttl = Some("10".into())).contains("`min_ttl`"));
    assert!(changed(|specs| specs[2].min_ttl = Some("0".into())).contains("asks for nothing"));
    let load = |specs: &mut Vec<MappingSpec>| (specs[2].expired, specs[2].min_ttl) = (Expired::Load, Some("1s".into()));
    assert!(changed(load).contains("contradict each other"));
    assert!(changed(|specs| specs[2].name = "documents".into()).contains("`name` is taken"));
    assert!(parse_mappings("[[mapping]]\nname = \"a\"\nnonsense = 1").is_err());
}

#[test]
fn an_audit_log_without_a_schema_is_a_finding() {
    let mut specs = preset();
    specs[0].audit = Some("audit_logs".into());
    let findings = findings(&specs, &hub());
    assert!(findings.contains("audit") && findings.contains("schema.table"), "{findings}");
}

/// The preset with other keys for its first two mappings.
fn with_keys(documents: &str, analyses: &str) -> Vec<MappingSpec> {
    let mut specs = preset();
    specs[0].matches = documents.into();
    specs[1].matches = analyses.into();
    specs
}

#[test]
fn what_an_exclusion_takes_another_mapping_may_take() {
    let mut specs = with_keys("document:{id..}", "document:{id}:analysis");
    specs[0].exclude = vec!["document:{id}:analysis".into()];
    let plan = Plan::compile(&specs, &hub(), stamp()).unwrap();
    assert_eq!(plan.classify(b"document:1"), Some(MappingId(0)));
    assert_eq!(plan.classify(b"document:1:analysis"), Some(MappingId(1)));
    let misses: Vec<_> = plan.misses(b"analysis:1").collect();
    assert_eq!(misses, []);
    specs[0].exclude.clear();
    assert!(findings(&specs, &hub()).contains("such as `document:a:analysis`"));
}

#[test]
fn mappings_that_cannot_be_compared_are_compared_key_by_key() {
    // Tables of a million states.
    let wide = |from: char| format!("document:{{id:/[{from}-z]*m[{from}-z]{{20}}/}}");
    let plan = Plan::compile(&with_keys(&wide('a'), &wide('k')), &hub(), stamp()).unwrap();
    assert!(plan.warnings().iter().any(|warning| warning.message.contains("too large")), "{:?}", plan.warnings());
    let both = format!("document:m{}", "x".repeat(20));
    let one = format!("document:m{}", "a".repeat(20));
    assert_eq!(
        (plan.classify(both.as_bytes()), plan.classify(one.as_bytes())),
        (Some(MappingId(0)), Some(MappingId(0)))
    );
    let dispute = plan.dispute(both.as_bytes(), MappingId(0)).unwrap();
    assert!(dispute.contains("`documents`") && dispute.contains("`analyses`"), "{dispute}");
    assert_eq!(plan.dispute(one.as_bytes(), MappingId(0)), None);
}

#[test]
fn patterns_of_one_mapping_that_cannot_be_compared_are_compared_key_by_key() {
    let mut specs = preset();
    let wide = "{id:/[ab]*a[ab]{20}/}";
    let text = format!("[[mapping]]\nname = \"d\"\nmatch = [\"u:{wide}\", \"u:a{wide}\"]\ninto = \"a.b\"\nkey = []");
    specs[0].matches = parse_mappings(&text).unwrap().remove(0).matches;
    let plan = Plan::compile(&specs, &hub(), stamp()).unwrap();
    let (both, one) = (format!("u:aa{}", "b".repeat(20)), format!("u:a{}", "b".repeat(20)));
    let dispute = plan.dispute(both.as_bytes(), MappingId(0)).unwrap();
    assert!(dispute.contains("is read differently by `u:{id") && dispute.contains("mapping `documents`"), "{dispute}");
    assert_eq!((plan.classify(one.as_bytes()), plan.dispute(one.as_bytes(), MappingId(0))), (Some(MappingId(0)), None));
}

#[test]
fn keys_can_be_checked_without_tables() {
    let check = |specs: &[MappingSpec]| {
        let findings = check_keys(specs, 0);
        findings.iter().map(|finding| format!("{finding}\n")).collect::<String>()
    };
    assert_eq!(check(&preset()), "");
    let found = check(&with_keys("document:{id}", "{kind}:{id}"));
    assert_eq!(found.matches("some keys would be taken by").count(), 2, "with sessions too: {found}");
    assert!(check(&with_keys("a:{", "b:{")).matches("not closed").count() == 2);
    let mut specs = preset();
    specs[0] =
        parse_mappings("[[mapping]]\nname = \"d\"\nmatch = [\"u:{id..}\", \"u:x:{id}\"]\ninto = \"a.b\"\nkey = []")
            .unwrap()
            .remove(0);
    assert!(check(&specs).contains("`u:x:a` is read differently by `u:{id..}` and `u:x:{id}`"));
}
