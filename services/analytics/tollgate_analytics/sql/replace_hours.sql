-- `staging` stands for a table's name, which the engine takes no parameter for here.
ALTER TABLE usage_hours REPLACE PARTITION {month:UInt32} FROM staging
