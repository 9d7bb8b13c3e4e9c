-- What validations found, the latest of a run beside those before it.

CREATE TABLE redis2pg.validations (
    id          uuid PRIMARY KEY,
    run_id      uuid NOT NULL REFERENCES redis2pg.runs ON DELETE CASCADE,
    version     text NOT NULL,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    parts       text[] NOT NULL,                 -- what was looked at: content, relationships
    sample      text,                            -- the share of keys that was looked at; NULL: all
    keys        text,                            -- the pattern of keys that was looked at; NULL: all
    strict      boolean NOT NULL,
    complete    boolean NOT NULL,                -- false: it was stopped before its end
    passed      boolean,                         -- NULL: not known, as it was stopped and had found nothing
    counts      jsonb NOT NULL                   -- by mapping
);
CREATE INDEX validations_run ON redis2pg.validations (run_id, started_at);
