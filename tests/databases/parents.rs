//! Parents and children in different databases.

use crate::Several;

const FAMILY: &str = r#"
[[mapping]]
name = "owners"
match = "owner:{id}"
databases = "all"
into = "public.owners"
key = ["id"]
column = [{ name = "id", from = ["{id}"] }, { name = "name", from = ["$.name"] }]

[[mapping]]
name = "pets"
match = "pet:{id}"
databases = [1, 4]
into = "public.pets"
key = ["id"]
parents = [{ mapping = "owners", column = "owner" }]
column = [{ name = "id", from = ["{id}"] }, { name = "owner", from = ["$.owner"] }]
"#;

const FAMILY_TABLES: &str = "CREATE TABLE owners (id text PRIMARY KEY, name text);
     CREATE TABLE pets (id text PRIMARY KEY, owner text REFERENCES owners)";

fn named(name: &str) -> String {
    format!(r#"{{"name":"{name}"}}"#)
}

fn owned(owner: &str) -> String {
    format!(r#"{{"owner":"{owner}"}}"#)
}

#[test]
fn parents_may_be_in_other_databases_than_their_children() {
    let several = Several::new(FAMILY_TABLES);
    several.database(4).set("owner:a", &named("Ann"));
    several.database(1).set("owner:b", &named("Ben"));
    several.database(1).set("pet:1", &owned("a"));
    several.database(4).set("pet:2", &owned("b"));
    several.database(4).set("pet:3", &owned("nobody"));
    several.database(4).set("pet:4", &owned("broken"));
    several.database(7).set("owner:broken", "{");
    let run = several.run(FAMILY, 3);
    assert_eq!((run.count("owners", "inserted"), run.count("pets", "inserted")), (2, 2), "{run}");
    assert_eq!(run.reject("pet:3")["detail"], "its parent owner:nobody is not in Redis");
    assert_eq!(run.reject("pet:4")["detail"], "its parent owner:broken was rejected (json_syntax)");
    // What the first phase listed of both databases was set aside for the second.
    assert_eq!(
        several.case.sql("SELECT phase, shard, scans FROM redis2pg.shards ORDER BY 1, 2"),
        "1|0|t\n1|2|t\n1|5|t\n1|8|t\n2|2|f\n2|5|f"
    );
    assert!(run.report["notices"].to_string().contains("the source's own: 0, 1, 4, 7"), "{run}");
}

#[test]
fn a_late_parent_is_looked_for_in_the_childs_own_database_first() {
    let several = Several::new(FAMILY_TABLES);
    for (number, name) in [(0, "Zoe"), (1, "Ann"), (4, "Bea")] {
        several.database(number).set("owner:a", &named(name));
    }
    several.database(0).set("owner:b", &named("Ben"));
    several.database(4).set("owner:c", "{");
    several.database(7).set("owner:c", &named("Cem"));
    (1..).zip(["a", "b", "c", "d"]).for_each(|(pet, owner)| {
        several.database(4).set(&format!("pet:{pet}"), &owned(owner));
    });
    let list = several.case.list(&["pet:1", "pet:2", "pet:3", "pet:4"]);
    let args = ["--keys-from", list.path().to_str().expect("a path")];
    let dry = several.case.run_config(FAMILY, &[&args[..], &["--dry-run"]].concat()).exits(3);
    assert_eq!((dry.count("pets", "would_load"), dry.reasons("pets")["missing_parent"]), (3, 1), "{dry}");
    let run = several.case.run_config(FAMILY, &args).exits(3);
    assert_eq!(several.case.sql("SELECT id, name FROM owners ORDER BY 1"), "a|Bea\nb|Ben\nc|Cem", "{run}");
    let lineage = "SELECT convert_from(redis_key, 'UTF8'), redis_db FROM redis2pg.loaded ORDER BY 1";
    assert_eq!(several.case.sql(lineage), "owner:a|4\nowner:b|\nowner:c|7\npet:1|4\npet:2|4\npet:3|4");
    assert_eq!(run.reject("owner:c")["database"], 4);
    assert_eq!(run.reject("pet:4")["detail"], "its parent owner:d is not in Redis");
    assert_eq!(run.rejects.len(), 2, "{run}");
    // Each line is looked for in each database: those of the one are gone in the other.
    assert_eq!(run.report["mappings"]["pets"]["skipped"]["gone"], 4, "{run}");
}

#[test]
fn what_is_set_aside_of_all_databases_has_one_bound() {
    let several = Several::new(FAMILY_TABLES);
    for number in [1, 4] {
        let mut client = several.database(number);
        client.set(&format!("owner:{number}"), &named("Ann"));
        (0..100).for_each(|n| client.set(&format!("pet:{number}{n:02}"), &owned(&number.to_string())));
    }
    // A key takes 13 bytes: there is room for those of one database.
    let run = several.case.run_config(FAMILY, &["--spill-limit", "2000"]).exits(0);
    assert_eq!(run.count("pets", "inserted"), 200);
    assert_eq!(several.case.sql("SELECT shard, scans FROM redis2pg.shards WHERE phase = 2 ORDER BY 1"), "2|f\n5|t");
}

const CATEGORIES: &str = r#"
[[mapping]]
name = "categories"
match = "category:{id}"
databases = [0, 4]
into = "public.categories"
key = ["id"]
parents = [{ mapping = "categories", column = "parent" }]
column = [{ name = "id", from = ["{id}"] }, { name = "parent", from = ["$.parent"] }]
"#;

#[test]
fn rows_may_refer_to_rows_of_their_own_table_from_another_database() {
    let several = Several::new("CREATE TABLE categories (id text PRIMARY KEY, parent text REFERENCES categories)");
    let below = |parent: &str| format!(r#"{{"parent":"{parent}"}}"#);
    // Roots in one database, their children in the other, and children of those beside them.
    for (root, child) in [(4, 0), (0, 4)] {
        several.database(root).set(&format!("category:{root}"), "{}");
        for at in 0..20 {
            several.database(child).set(&format!("category:{root}-{at}"), &below(&root.to_string()));
            several.database(child).set(&format!("category:{root}-{at}-1"), &below(&format!("{root}-{at}")));
        }
    }
    several.database(4).set("category:orphan", &below("nowhere"));
    let run = several.case.run_config(CATEGORIES, &[]).exits(3);
    assert_eq!(run.reasons("categories"), [("missing_parent".to_owned(), 1)].into(), "{run}");
    assert_eq!(several.case.number("SELECT count(*) FROM categories c JOIN categories p ON p.id = c.parent"), 80);
    let again = several.case.run_config(CATEGORIES, &[]).exits(3);
    assert_eq!(again.total("unchanged"), 82, "{again}");
    // What another database holds is not judged beforehand.
    let dry = several.case.run_config(CATEGORIES, &["--dry-run"]).exits(0);
    assert_eq!(dry.total("would_load"), 83, "{dry}");
}
