-- What a model can, as its operator knows it: the most tokens that one answer can have, and what no price shows
-- (`tools`, `vision`). NULL is not known. Neither changes a price, so neither has versions.
ALTER TABLE models ADD COLUMN max_output_tokens bigint CHECK (max_output_tokens > 0);
ALTER TABLE models ADD COLUMN capabilities text[] NOT NULL DEFAULT '{}';
