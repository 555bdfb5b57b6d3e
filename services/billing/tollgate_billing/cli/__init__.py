"""`tollgate`, the command for operators."""
