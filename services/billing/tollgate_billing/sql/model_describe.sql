-- What is known of a model beside its price; the caller has locked the catalogue and read what it leaves as it was.
UPDATE models
SET
    context_tokens = %(context_tokens)s,
    max_output_tokens = %(max_output_tokens)s,
    capabilities = %(capabilities)s
WHERE model = %(model)s
