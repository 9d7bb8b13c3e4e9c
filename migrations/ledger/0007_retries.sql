-- Rejects that can be loaded later, from Redis or from what is kept here, by runs that retry those of another run.

-- The run whose rejects this run takes; NULL: an ordinary run.
ALTER TABLE redis2pg.runs ADD COLUMN retry_of uuid;
CREATE INDEX runs_retry_of ON redis2pg.runs (retry_of) WHERE retry_of IS NOT NULL;

ALTER TABLE redis2pg.rejects DROP CONSTRAINT rejects_state_check;
ALTER TABLE redis2pg.rejects
    ADD CONSTRAINT rejects_state_check CHECK (state IN ('open', 'pending', 'closed')), -- closed: a retry has settled it
    ADD COLUMN closed_at     timestamptz,
    ADD COLUMN closed_by     uuid,               -- the retry
    ADD COLUMN attempts      integer NOT NULL DEFAULT 1, -- runs that came to the key, the first among them
    ADD COLUMN tried_at      timestamptz,        -- when a retry came to it last
    ADD COLUMN tried_by      uuid,
    ADD COLUMN found_by      uuid,               -- the retry that found it; NULL: the run itself
    ADD COLUMN counted_by    uuid,               -- the retry whose books count it now; NULL: none
    ADD COLUMN value_part    boolean,            -- the value is an element or a slice of the key's; NULL: not known
    ADD COLUMN whole_value   bytea,              -- all of the key's value then, up to the cap, where it was read at once
    ADD COLUMN dump          bytea,              -- what DUMP gave, up to the cap, where the mapping wanted it
    ADD COLUMN expires_at_ms bigint,             -- when Redis was to expire the key, Unix milliseconds
    ADD COLUMN facts         jsonb;              -- what else was read of the key
-- A retry knows a key, whichever mapping takes it now.
CREATE INDEX rejects_run_key ON redis2pg.rejects (run_id, key_hash);
