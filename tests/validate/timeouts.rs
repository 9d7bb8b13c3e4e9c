//! How long a statement may take is a matter of the settings, not of what the role has for itself.

use super::{MAPPINGS, ends, found, loaded};

#[test]
fn the_roles_own_timeout_does_not_bound_what_is_read() {
    let case = loaded(1, 0);
    // Whoever looks at a row takes longer than the role has for a statement, the look before all else included.
    case.sql(&format!(
        "CREATE FUNCTION slow() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.8); RETURN true; END $$; \
         CREATE POLICY slow ON parents USING (slow()) WITH CHECK (true); \
         ALTER TABLE parents ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; \
         ALTER ROLE redis2pg IN DATABASE {} SET statement_timeout = '500ms'",
        case.database
    ));
    let outcome = ends(case.validate(MAPPINGS, &["--retry-deadline", "2s"]), 0);
    found(&outcome, "parents", &[("equal", 1)]);
    assert!(!outcome.stderr.contains("trying again"), "{outcome}");
    // What bounds it is the setting, and that is what is told.
    let short = ["--statement-timeout", "500ms", "--retry-deadline", "1s"];
    let outcome = ends(case.validate(MAPPINGS, &short), 6);
    assert!(outcome.stderr.contains("57014") && outcome.stderr.contains("target.statement_timeout"), "{outcome}");
}
