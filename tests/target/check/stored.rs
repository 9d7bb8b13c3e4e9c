//! What stands between a row that is sent and one that is stored: triggers, rules, policies, partitions.

use super::{items, mapping, notices, says};

#[test]
fn a_table_with_triggers_is_told_once_and_the_presets_own_are_known() {
    let case = items(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'; \
         CREATE TABLE items (id text, n int, PRIMARY KEY (id, n)) PARTITION BY LIST (n); \
         CREATE TABLE p1 PARTITION OF items DEFAULT; \
         CREATE TRIGGER one BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION keep(); \
         CREATE TRIGGER two BEFORE UPDATE ON p1 FOR EACH ROW EXECUTE FUNCTION keep(); \
         CREATE TRIGGER off BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION keep(); \
         CREATE TRIGGER late AFTER INSERT ON items FOR EACH ROW EXECUTE FUNCTION keep(); ALTER TABLE items DISABLE TRIGGER off",
    );
    let run = case.run_config(&mapping("items", "['id', 'n']", &["n"]), &[]).exits(0);
    let all = notices(&run);
    assert!(all.contains("one, two (of its partition public.p1). A row"), "{run}");
    assert_eq!((all.matches("trigger sees").count(), all.matches("off").count()), (1, 0), "{run}");
    case.redis().set("document:1", r#"{"filename":"a.pdf","file_path":"a.pdf","file_size":1}"#);
    let preset = case.run(&[]).exits(0);
    // Other tests use other databases of this server.
    let told = preset.report["notices"].as_array().expect("notices").iter();
    let told: Vec<_> = told.filter(|notice| !notice.to_string().contains("redis other databases")).collect();
    assert!(told.is_empty(), "{told:?}\n{preset}");
}

#[test]
fn rules_that_keep_rows_from_being_inserted_are_critical_and_others_are_told() {
    let table = "CREATE TABLE items (id text PRIMARY KEY, n int); CREATE TABLE copies (LIKE items); ";
    for (rule, words) in [
        ("RULE r AS ON INSERT TO items DO INSTEAD NOTHING", ["no row would be stored", "DISABLE RULE r"]),
        ("RULE r AS ON INSERT TO items DO ALSO INSERT INTO copies VALUES (new.*)", ["ON CONFLICT", "DISABLE RULE r"]),
        ("RULE r AS ON UPDATE TO items DO INSTEAD NOTHING", ["ON CONFLICT", "DROP RULE r ON public.items"]),
    ] {
        let run = items(&format!("{table} CREATE {rule}")).run_config(&mapping("items", "'id'", &["n"]), &[]).exits(2);
        says(&run, "error", "public.items", &words);
    }
    let case = items(&format!("{table} CREATE RULE r AS ON INSERT TO items WHERE new.n > 5 DO INSTEAD NOTHING"));
    case.redis().set("items:2", r#"{"n":7}"#);
    // COPY would pass by the rule.
    for _ in 0..2 {
        let run = case.run_config(&mapping("items", "'id'", &["n"]), &[]).exits(3);
        assert!(notices(&run).contains("rules may drop rows that are inserted: r."), "{run}");
        assert_eq!(run.reject("items:2")["reason"], "not_stored", "{run}");
        assert_eq!(case.sql("SELECT id FROM items"), "1");
    }
}

#[test]
fn row_level_security_is_critical_only_where_nothing_can_be_inserted() {
    let table = "CREATE TABLE items (id text PRIMARY KEY, n int); ALTER TABLE items ENABLE ROW LEVEL SECURITY; ";
    for (policy, code) in [
        ("CREATE POLICY p ON items FOR SELECT USING (true)", 2),
        ("CREATE POLICY p ON items TO postgres USING (true)", 2),
        ("CREATE POLICY p ON items AS RESTRICTIVE USING (true)", 2),
        ("CREATE POLICY p ON items TO redis2pg USING (true)", 0),
        ("CREATE POLICY p ON items FOR INSERT WITH CHECK (true); CREATE POLICY q ON items FOR SELECT USING (true)", 0),
    ] {
        let case = items(&format!("{table} {policy}"));
        let run = case.run_config(&mapping("items", "'id'", &["n"]), &[]).exits(code);
        assert!(run.said().contains("row-level security applies to the role redis2pg"), "{policy}: {run}");
        case.run_config(&mapping("items", "'id'", &["n"]), &["--dry-run"]).exits(0);
    }
}

#[test]
fn restrictive_policies_are_named_and_critical_where_they_refuse_every_row() {
    let table = "CREATE TABLE items (id text PRIMARY KEY, n int); ALTER TABLE items ENABLE ROW LEVEL SECURITY; \
                 CREATE POLICY open ON items USING (true); CREATE POLICY other ON items AS RESTRICTIVE TO postgres USING (false)";
    for (policy, code, words) in [
        (
            "CREATE POLICY few ON items AS RESTRICTIVE USING (n < 5)",
            0,
            ["few (for ALL: (n < 5))", "A row that one refuses is rejected"],
        ),
        (
            "CREATE POLICY seen ON items AS RESTRICTIVE FOR SELECT USING (n > 0)",
            0,
            ["seen (for SELECT: (n > 0))", "not_stored"],
        ),
        (
            "CREATE POLICY shut ON items AS RESTRICTIVE FOR INSERT WITH CHECK (false)",
            2,
            ["shut (for INSERT: false)", "Every row would be refused"],
        ),
        (
            "DROP POLICY open ON items; CREATE POLICY few ON items AS RESTRICTIVE USING (n < 5)",
            2,
            ["few (for ALL", "No other policy lets it insert"],
        ),
    ] {
        let case = items(&format!("{table}; {policy}"));
        let run = case.run_config(&mapping("items", "'id'", &["n"]), &[]).exits(code);
        let said = format!("{}{}", run.said(), notices(&run));
        for word in words.iter().chain(&["ALTER POLICY", "BYPASSRLS", "A further policy does not help"]) {
            assert!(said.contains(word), "{policy}: {word:?}: {run}");
        }
        assert!(!said.contains("other (for"), "{policy}: {run}");
        case.run_config(&mapping("items", "'id'", &["n"]), &["--dry-run"]).exits(0);
    }
}

#[test]
fn a_partitioned_table_that_lacks_partitions_is_told() {
    let range = "CREATE TABLE items (id text, n int, PRIMARY KEY (id, n)) PARTITION BY RANGE (n)";
    let hash = "CREATE TABLE items (id text, n int, PRIMARY KEY (id, n)) PARTITION BY HASH (id)";
    let of = "PARTITION OF items FOR VALUES";
    for (table, code, words) in [
        (
            range.to_owned(),
            2,
            &["RANGE (n)", "no partition that holds rows", "public.items_default PARTITION OF public.items DEFAULT"][..],
        ),
        (
            format!("{range}; CREATE TABLE p {of} FROM (0) TO (9) PARTITION BY LIST (n)"),
            2,
            &["no partition that holds rows"],
        ),
        (format!("{range}; CREATE TABLE p {of} FROM (0) TO (9)"), 0, &["no default partition", "DEFAULT"]),
        (format!("{range}; CREATE TABLE p PARTITION OF items DEFAULT"), 0, &[]),
        (format!("{hash}; CREATE TABLE p {of} WITH (MODULUS 1, REMAINDER 0)"), 0, &[]),
        (format!("{hash}; CREATE TABLE p {of} WITH (MODULUS 3, REMAINDER 0)"), 0, &["each remainder", "MODULUS"]),
        (
            format!(
                "{hash}; CREATE TABLE p {of} WITH (MODULUS 2, REMAINDER 0); CREATE TABLE q {of} WITH (MODULUS 4, REMAINDER 1); \
                 CREATE TABLE r {of} WITH (MODULUS 4, REMAINDER 3)"
            ),
            0,
            &[],
        ),
    ] {
        let case = items(&table);
        let config = mapping("items", "['id', 'n']", &["n"]);
        // Which rows a table with some partitions takes is not at issue here.
        let run = case.run_config(&config, if code == 0 { &["--dry-run"] } else { &[] }).exits(code);
        let said = format!("{}{}", run.said(), notices(&run));
        words.iter().for_each(|word| assert!(said.contains(word), "{table}: {word:?}: {run}"));
        assert_eq!(said.contains("it is partitioned by"), !words.is_empty(), "{table}: {run}");
        case.run_config(&config, &["--dry-run"]).exits(0);
    }
}
