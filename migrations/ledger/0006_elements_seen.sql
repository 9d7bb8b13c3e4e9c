-- Which element a row was made from, or found for, in a reading that takes several transactions: another one for the same row
-- is told by it.
ALTER TABLE redis2pg.seen ADD COLUMN digest text;
