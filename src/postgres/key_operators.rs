//! How the two sides of a foreign key are compared.

/// By whose collation, where the two sides have different ones. None of them is the other's, and to compare them as they stand is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collating {
    /// That of the columns that refer: rows are looked for that refer to one, and by their index.
    Referring,
    /// That of the columns that are referred to: the row is looked for that one refers to.
    Referred,
}

/// The operators between the columns of the foreign key `k`, a row of `pg_constraint`, in their order: an expression of type text[], of SQL behind
/// which the value of the column that refers stands, and before which that of the one that is referred to.
///
/// As PostgreSQL's own checks have it, a collation of the column that is referred to which takes different texts for equal goes for both. It is named
/// also where both have it: values of an image have none.
pub fn key_operators(by: Collating) -> String {
    let other = match by {
        Collating::Referring => "c.attcollation",
        Collating::Referred => "p.attcollation",
    };
    format!(
        "ARRAY(SELECT coalesce('COLLATE ' || pg_catalog.quote_ident(x.nspname) || '.' || pg_catalog.quote_ident(l.collname) || ' ', '') \
           || pg_catalog.format('OPERATOR(%I.%s)', s.nspname, o.oprname) \
         FROM ROWS FROM (pg_catalog.unnest(k.conpfeqop), pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.confkey)) \
           WITH ORDINALITY u (op, own, referred, place) \
         JOIN pg_catalog.pg_operator o ON o.oid = u.op JOIN pg_catalog.pg_namespace s ON s.oid = o.oprnamespace \
         JOIN pg_catalog.pg_attribute c ON c.attrelid = k.conrelid AND c.attnum = u.own \
         JOIN pg_catalog.pg_attribute p ON p.attrelid = k.confrelid AND p.attnum = u.referred \
         LEFT JOIN pg_catalog.pg_collation f ON f.oid = p.attcollation \
         LEFT JOIN pg_catalog.pg_collation l ON c.attcollation <> 0 AND p.attcollation <> 0 AND l.oid = CASE \
           WHEN (pg_catalog.to_jsonb(f) ->> 'collisdeterministic')::boolean IS FALSE THEN p.attcollation \
           WHEN c.attcollation <> p.attcollation THEN {other} END \
         LEFT JOIN pg_catalog.pg_namespace x ON x.oid = l.collnamespace ORDER BY u.place)"
    )
}
