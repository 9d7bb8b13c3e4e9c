//! Rows that others refer to, by whatever foreign key the catalog has.

use crate::support::Case;
use crate::{ITEMS, id, items, rollback, rows, undo};

#[test]
fn a_row_of_somebody_else_is_never_taken_along_by_a_cascade() {
    let case = items(&[("a", 1), ("b", 2), ("c", 3), ("d", 4)]);
    case.sql(
        "CREATE SCHEMA app; CREATE TABLE app.notes (item text REFERENCES public.items ON DELETE CASCADE); \
         CREATE TABLE app.marks (item text REFERENCES public.items ON DELETE SET NULL); \
         GRANT USAGE ON SCHEMA app TO redis2pg; GRANT SELECT ON app.notes, app.marks TO redis2pg",
    );
    let run = id(&case.run_config(ITEMS, &[]).exits(0));
    case.sql("INSERT INTO app.notes VALUES ('a'); INSERT INTO app.marks VALUES ('b')");
    assert_eq!(rollback(&case, &run, &["--dry-run"]).exits(0).counts(), [2, 0, 2]);
    let undone = rollback(&case, &run, &["--yes", "--force"]).exits(0);
    assert_eq!((undone.counts(), undone.kept("public.items", "referred_to")), ([2, 0, 2], 2), "{:#}", undone.json);
    assert!(undone.json["samples"].to_string().contains("app.notes"), "{:#}", undone.json);
    assert_eq!(case.sql("SELECT id FROM items ORDER BY 1"), "a\nb");
    assert_eq!(case.sql("SELECT * FROM app.notes, app.marks"), "a|b");
    // Once nobody refers to them any more, they can be taken back.
    case.sql("DELETE FROM app.notes; DELETE FROM app.marks");
    assert_eq!(undo(&case, &run).counts(), [4, 0, 0]);
}

#[test]
fn a_row_of_a_table_that_inherits_from_the_runs_is_somebody_elses() {
    let case = items(&[("a", 1), ("b", 2), ("c", 3)]);
    let run = id(&case.run_config(ITEMS, &[]).exits(0));
    // The keys of both are those of rows of the run.
    case.sql(
        "CREATE TABLE history (of text REFERENCES items ON DELETE CASCADE) INHERITS (items); GRANT SELECT ON history TO redis2pg; \
         INSERT INTO history (id, n, of) VALUES ('a', 9, 'a'), ('b', 9, 'c')",
    );
    let undone = crate::as_foretold(&case, &run, &[]);
    assert_eq!((undone.counts(), undone.kept("public.items", "referred_to")), ([1, 0, 2], 2), "{:#}", undone.json);
    assert!(undone.json["samples"].to_string().contains("public.history"), "{:#}", undone.json);
    assert_eq!(case.sql("SELECT id FROM ONLY items ORDER BY 1"), "a\nc");
    assert_eq!(case.sql("SELECT id, n, of FROM history ORDER BY 1"), "a|9|a\nb|9|c");
}

#[test]
fn what_cannot_be_read_may_refer_to_any_row() {
    let case = items(&[("a", 1), ("b", 2)]);
    case.sql("RESET ROLE; CREATE SCHEMA hidden; CREATE TABLE hidden.notes (item text REFERENCES public.items ON DELETE CASCADE)");
    let run = id(&case.run_config(ITEMS, &[]).exits(0));
    let undone = undo(&case, &run);
    assert_eq!(undone.counts(), [0, 0, 2]);
    assert!(undone.json["samples"].to_string().contains("hidden.notes"), "{:#}", undone.json);
}

#[test]
fn children_go_before_parents_and_rows_of_one_table_in_the_order_that_they_need() {
    let case = Case::new();
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE items (id text PRIMARY KEY, above text REFERENCES items, metadata jsonb); \
         CREATE TABLE parts (id text PRIMARY KEY, item text REFERENCES items ON DELETE CASCADE, metadata jsonb)",
    );
    let config = r#"
[[mapping]]
name = "items"
match = "item:{id}"
into = "public.items"
key = ["id"]
lineage = { column = "metadata", document_id = "{id}" }
column = [
  { name = "id", from = ["{id}"] },
  { name = "above", from = ["$.above"] },
  { name = "metadata", from = ["$.metadata"] },
]
[[mapping]]
name = "parts"
match = "part:{id}"
into = "public.parts"
key = ["id"]
parents = [{ mapping = "items", column = "item" }]
lineage = { column = "metadata", document_id = "{id}" }
column = [
  { name = "id", from = ["{id}"] },
  { name = "item", from = ["$.item"] },
  { name = "metadata", from = [] },
]
"#;
    let mut pairs = Vec::new();
    for n in 0..3000 {
        let above = if n == 0 { "null".to_owned() } else { format!("\"{:04}\"", n - 1) };
        // Wide, so that the chain goes through several slices of the table.
        pairs.push((
            format!("item:{n:04}"),
            format!("{{\"above\":{above},\"metadata\":{{\"fill\":\"{}\"}}}}", "x".repeat(900)),
        ));
        pairs.push((format!("part:{n:04}"), format!("{{\"item\":\"{n:04}\"}}")));
    }
    case.redis().set_many(&pairs);
    let run = id(&case.run_config(config, &[]).exits(0));
    assert_eq!(case.number("SELECT count(*) FROM items"), 3000);
    case.sql("INSERT INTO parts VALUES ('own', '1500')");
    let undone = undo(&case, &run);
    // The row that is referred to stays, and all above it.
    assert_eq!(undone.counts(), [3000 + 1499, 0, 1501], "{:#}", undone.json);
    assert_eq!(case.sql("SELECT min(id), max(id), count(*) FROM items"), "0000|1500|1501");
    assert_eq!(case.sql("SELECT id FROM parts"), "own");
}

#[test]
fn a_row_whose_place_is_taken_is_kept_and_the_others_are_put_back() {
    let case = items(&[("a", 1), ("b", 2), ("c", 3)]);
    case.sql("ALTER TABLE items ADD UNIQUE (n)");
    let _ = case.run_config(ITEMS, &[]).exits(0);
    crate::set(&case, &[("a", 10), ("b", 20), ("c", 30), ("d", 3)]);
    let run = id(&case.run_config(ITEMS, &[]).exits(0));
    case.sql("INSERT INTO items VALUES ('own', 2)");
    let undone = undo(&case, &run);
    // 3 was the new row's, which is gone by then.
    assert_eq!(undone.counts(), [1, 2, 1], "{:#}", undone.json);
    assert_eq!(undone.kept("public.items", "place_taken"), 1);
    assert!(undone.json["samples"].to_string().contains("items_n_key"), "{:#}", undone.json);
    assert_eq!(case.sql("SELECT id, n FROM items ORDER BY 1"), "a|1\nb|20\nc|3\nown|2");
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.before_images"), 1);
    case.sql("DELETE FROM items WHERE id = 'own'");
    assert_eq!(rollback(&case, &run, &["--yes", "--force"]).exits(0).counts(), [1, 3, 0]);
    assert_eq!(case.sql("SELECT id, n FROM items ORDER BY 1"), "a|1\nb|2\nc|3");
}

#[test]
fn what_a_trigger_keeps_is_kept_and_said() {
    let case = items(&[("a", 1), ("b", 2), ("c", 3)]);
    case.sql(
        "CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF OLD.id = 'b' THEN UPDATE public.items SET note = 'hidden' WHERE id = 'b'; RETURN NULL; END IF; RETURN OLD; END $$; \
         CREATE TRIGGER stay BEFORE DELETE ON items FOR EACH ROW EXECUTE FUNCTION stay()",
    );
    let run = id(&case.run_config(ITEMS, &[]).exits(0));
    let undone = undo(&case, &run);
    assert_eq!((undone.counts(), undone.kept("public.items", "not_done")), ([2, 0, 1], 1), "{:#}", undone.json);
    assert_eq!(case.sql("SELECT id, note FROM items"), "b|none", "nothing of what the trigger did is left");
    assert_eq!(rows(&case, "items").lines().count(), 1);
}

#[test]
fn a_foreign_key_without_an_index_is_named_before_rows_are_deleted() {
    let case = items(&[("a", 1)]);
    case.sql(
        "CREATE TABLE notes (item text REFERENCES items, at date, PRIMARY KEY (at, item)); GRANT SELECT ON notes TO redis2pg",
    );
    let run = id(&case.run_config(ITEMS, &[]).exits(0));
    let told = "public.notes refers to public.items by (item), and no index begins with these columns";
    let dry = rollback(&case, &run, &["--dry-run"]).exits(0);
    assert!(dry.json["notices"].to_string().contains(told), "{:#}", dry.json);
    // A partial one does not serve.
    case.sql("CREATE INDEX part ON notes (item) WHERE at > '2024-01-01'");
    let kept = rollback(&case, &run, &["--yes"]).exits(0);
    assert!(kept.stderr.contains(told), "{}", kept.stderr);
    let run = id(&case.run_config(ITEMS, &[]).exits(0));
    case.sql("CREATE INDEX whole ON notes (item, at)");
    let undone = undo(&case, &run);
    assert!(!format!("{}{}", undone.stderr, undone.json).contains("no index"), "{}{:#}", undone.stderr, undone.json);
}

#[test]
fn rows_that_refer_to_one_another_in_a_circle_are_kept_and_said() {
    let case = items(&[("a", 1), ("b", 2)]);
    case.sql("SET ROLE redis2pg; ALTER TABLE items ADD part text; CREATE TABLE parts (id text PRIMARY KEY, item text, metadata jsonb)");
    let config = format!(
        "{}{}",
        ITEMS.replace("  { name = \"n\"", "  { name = \"part\", from = [\"$.part\"] },\n  { name = \"n\""),
        r#"
[[mapping]]
name = "parts"
match = "part:{id}"
into = "public.parts"
key = ["id"]
lineage = { column = "metadata", document_id = "{id}" }
column = [
  { name = "id", from = ["{id}"] },
  { name = "item", from = ["$.item"] },
  { name = "metadata", from = [] },
]
"#
    );
    let mut redis = case.redis();
    redis.set("item:a", r#"{"n":1,"part":"x"}"#);
    redis.set("part:x", r#"{"item":"a"}"#);
    redis.set("part:y", r#"{"item":"b"}"#);
    let run = id(&case.run_config(&config, &[]).exits(0));
    case.sql("ALTER TABLE items ADD FOREIGN KEY (part) REFERENCES parts; ALTER TABLE parts ADD FOREIGN KEY (item) REFERENCES items");
    let undone = crate::as_foretold(&case, &run, &[]);
    assert_eq!((undone.counts(), case.sql("SELECT id FROM items")), ([2, 0, 2], "a".to_owned()), "{:#}", undone.json);
    assert!(
        undone.json["notices"]
            .to_string()
            .contains("public.items, public.parts: these tables refer to one another in a circle"),
        "{:#}",
        undone.json
    );
    // As docs/rollback.md has it: the circle is opened, and the row of which that was changed is taken by force.
    case.sql("UPDATE items SET part = NULL");
    assert_eq!(rollback(&case, &run, &["--yes", "--force"]).exits(0).counts(), [4, 0, 0]);
}

#[test]
fn a_trigger_that_changes_what_the_same_statement_deletes_ends_nothing() {
    let case = items(&[]);
    case.sql("SET ROLE redis2pg; ALTER TABLE items ADD above text");
    let config = ITEMS.replace("  { name = \"n\"", "  { name = \"above\", from = [\"$.above\"] },\n  { name = \"n\"");
    // Whatever order they are in, one of the two comes before the one that it refers to.
    for (id, above) in [("a", "null"), ("b", "\"a\""), ("c", "\"d\""), ("d", "null")] {
        case.redis().set(&format!("item:{id}"), &format!("{{\"n\":1,\"above\":{above}}}"));
    }
    let run = id(&case.run_config(&config, &[]).exits(0));
    case.sql(
        "ALTER TABLE items ADD FOREIGN KEY (above) REFERENCES items; \
         CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         UPDATE public.items SET note = 'told' WHERE id = OLD.above; RETURN OLD; END $$; \
         CREATE TRIGGER tell BEFORE DELETE ON items FOR EACH ROW EXECUTE FUNCTION tell()",
    );
    let undone = undo(&case, &run);
    let [deleted, _, kept] = undone.counts();
    assert!(deleted >= 2 && deleted + kept == 4, "{:#}", undone.json);
    assert_eq!(undone.kept("public.items", "changed"), kept, "{:#}", undone.json);
    assert_eq!(rollback(&case, &run, &["--yes", "--force"]).exits(0).counts()[0], 4);
    assert_eq!(rows(&case, "items"), "");
}
