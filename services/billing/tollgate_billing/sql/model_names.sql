-- Read every model and its provider, to distinguish a misspelled name from a new one.
SELECT model, provider FROM models ORDER BY model
