-- Replace a month by its staging table. `staging` stands for the table's name, because the engine accepts no parameter
-- here.
ALTER TABLE usage_hours REPLACE PARTITION {month:UInt32} FROM staging
