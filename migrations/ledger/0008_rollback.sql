-- What a run leaves so that it can be undone without its configuration.

ALTER TABLE redis2pg.before_images
    ADD COLUMN deleted boolean,                  -- the run deleted the row; NULL: from before, not known
    ADD COLUMN exact   jsonb,                    -- columns that jsonb does not hold as they were, as text
    ADD COLUMN lineage jsonb;                    -- what `loaded` said of the row

-- How many before-images the batch took: one that is missing since is found missing. NULL: from before, not known.
ALTER TABLE redis2pg.batches ADD COLUMN images bigint;

-- The tables that a run loads, by mapping.
CREATE TABLE redis2pg.run_tables (
    run_id      uuid NOT NULL REFERENCES redis2pg.runs ON DELETE CASCADE,
    mapping     text NOT NULL,
    table_name  text NOT NULL,                   -- as in `batches`
    schema_part text NOT NULL,
    table_part  text NOT NULL,
    key_columns text[] NOT NULL,
    lineage     jsonb NOT NULL,                  -- where it is kept which key and run a row is of
    expiry      text,                            -- the column with the time of expiry, beside the lineage
    explodes    boolean NOT NULL,                -- a key is several rows
    created_oid bigint,                          -- the table, where the run made it
    audit       jsonb,                           -- the application's audit log
    PRIMARY KEY (run_id, mapping)
);

ALTER TABLE redis2pg.runs
    ADD COLUMN rollback_lease            uuid,   -- a token of the process that undoes the run; set once one began
    ADD COLUMN rollback_lease_expires_at timestamptz,
    ADD COLUMN rolled_back_at            timestamptz,
    ADD COLUMN rollback                  jsonb;  -- the account: what was done so far, and what was kept
