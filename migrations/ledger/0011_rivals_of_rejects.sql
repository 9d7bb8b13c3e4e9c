-- The keys whose rows a rejected key maps to, as texts DATABASE/KEY with the key in hexadecimal; '*': more than are named. Those rows stay
-- when their own keys are gone. NULL: none.
ALTER TABLE redis2pg.rejects ADD COLUMN rivals jsonb;
CREATE INDEX rejects_rivals ON redis2pg.rejects (run_id) WHERE rivals IS NOT NULL;
