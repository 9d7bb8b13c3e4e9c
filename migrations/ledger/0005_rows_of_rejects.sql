-- A key that becomes several rows may be rejected and have rows all the same: what was counted of them, so that another try
-- does not count them again. NULL: nothing.
ALTER TABLE redis2pg.rejects ADD COLUMN rows jsonb;
