-- Every model and who provides it, to tell a misspelt name from a new one.
SELECT model, provider FROM models ORDER BY model
