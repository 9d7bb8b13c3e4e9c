//! Tables with constraints, triggers and policies, and their mappings.

use crate::expected::{Lineage, Table};

pub(crate) const TABLES: [Table; 6] = [
    table("guarded", "public.guarded", &["id", "code", "amount", "span", "region", "note", "must"]),
    table("secured", "public.secured", &["id", "tenant", "amount"]),
    table("bills", "public.bills", &["id", "account"]),
    table("owned", "public.owned", &["id", "n"]),
    table("theirs", "public.theirs", &["id", "n"]),
    table(
        "shown",
        "public.shown",
        &["id", "place::text AS place", "words", "page::text AS page", "span", "bits", "pair"],
    ),
];

const fn table(name: &'static str, target: &'static str, columns: &'static [&'static str]) -> Table {
    Table { name, target, key: &["id"], columns, lineage: Lineage::Ledger, whole: true }
}

pub(crate) const SQL: &str = "
CREATE TABLE regions (code text PRIMARY KEY); INSERT INTO regions VALUES ('eu'), ('us');
CREATE TABLE guarded (id text PRIMARY KEY, code text CONSTRAINT one_code UNIQUE,
  amount bigint CONSTRAINT amount_is_sane CHECK (amount >= 0), span int8range,
  region text CONSTRAINT known_region REFERENCES regions, note text, must text NOT NULL DEFAULT 'm',
  CONSTRAINT no_overlap EXCLUDE USING gist (span WITH &&));
CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE short varchar(2); small smallint;
BEGIN
  CASE NEW.note
    WHEN 'swallow' THEN RETURN NULL;
    WHEN 'raise' THEN RAISE EXCEPTION 'a trigger says no';
    WHEN 'zero' THEN NEW.amount := 1 / (NEW.amount - NEW.amount);
    WHEN 'long' THEN short := 'abc';
    WHEN 'large' THEN small := 40000;
    WHEN 'nothing' THEN NEW.must := NULL;
    ELSE RETURN NEW;
  END CASE;
  RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE ON guarded FOR EACH ROW EXECUTE FUNCTION guard();
CREATE TABLE secured (id text PRIMARY KEY, tenant text, amount int);
ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
CREATE POLICY ours ON secured USING (tenant <> 'hidden') WITH CHECK (tenant <> 'foreign');
CREATE POLICY small_ones ON secured AS RESTRICTIVE USING (true) WITH CHECK (amount < 1000);
CREATE TABLE accounts (id text PRIMARY KEY); INSERT INTO accounts VALUES ('a'), ('b');
CREATE TABLE bills (id text PRIMARY KEY, account text REFERENCES accounts DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE owned (id text PRIMARY KEY, n int);
CREATE TABLE theirs (id text PRIMARY KEY, n int);
CREATE TYPE pair AS (a int, b text);
CREATE TABLE shown (id text PRIMARY KEY, place point, words tsvector, page xml, span int4range, bits bit(3), pair pair);
";

pub(crate) const MAPPINGS: &str = r#"
[[mapping]]
name = "guarded"
match = "guarded:{id..}"
into = "public.guarded"
key = "id"
column = [
  { name = "id", from = "{id}" },
  { name = "code", from = "$.code" },
  { name = "amount", from = "$.amount" },
  { name = "span", from = "$.span" },
  { name = "region", from = "$.region" },
  { name = "note", from = "$.note" },
]

[[mapping]]
name = "secured"
match = "secured:{id..}"
into = "public.secured"
key = "id"
column = [
  { name = "id", from = "{id}" },
  { name = "tenant", from = "$.tenant" },
  { name = "amount", from = "$.amount" },
]

[[mapping]]
name = "bills"
match = "bill:{id..}"
into = "public.bills"
key = "id"
column = [{ name = "id", from = "{id}" }, { name = "account", from = "$.account" }]

[[mapping]]
name = "owned"
match = "owned:{id..}"
into = "public.owned"
key = "id"
on_conflict = "error"
column = [{ name = "id", from = "{id}" }, { name = "n", from = "$.n" }]

[[mapping]]
name = "theirs"
match = "theirs:{id..}"
into = "public.theirs"
key = "id"
column = [{ name = "id", from = "{id}" }, { name = "n", from = "$.n" }]

[[mapping]]
name = "shown"
match = "shown:{id..}"
into = "public.shown"
key = "id"
column = [
  { name = "id", from = "{id}" },
  { name = "place", from = "$.place" },
  { name = "words", from = "$.words" },
  { name = "page", from = "$.page" },
  { name = "span", from = "$.span" },
  { name = "bits", from = "$.bits" },
  { name = "pair", from = "$.pair" },
]
"#;
