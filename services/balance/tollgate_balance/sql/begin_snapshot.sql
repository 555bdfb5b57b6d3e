-- All statements of this transaction read one snapshot.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY
