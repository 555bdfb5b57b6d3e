-- What the statements of this transaction read belongs together.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY
