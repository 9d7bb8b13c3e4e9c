-- What is known of the keys that no mapping took, in the pages below the watermark: families, and what looks like a
-- mapping's own. A resumed run goes on counting from it.
ALTER TABLE redis2pg.shards ADD COLUMN unmatched_keys jsonb NOT NULL DEFAULT '{}';
