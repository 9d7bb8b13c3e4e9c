-- Keys that become several rows.

-- The rows that came of a key.
CREATE INDEX loaded_redis_key ON redis2pg.loaded (table_name, redis_key);

-- Rows of a reading that takes several transactions, until it ends.
CREATE TABLE redis2pg.seen (
    run_id  uuid NOT NULL REFERENCES redis2pg.runs ON DELETE CASCADE,
    reading uuid NOT NULL,
    row_key jsonb NOT NULL,
    PRIMARY KEY (reading, row_key)
);
CREATE INDEX seen_run ON redis2pg.seen (run_id);
