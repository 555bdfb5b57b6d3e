-- A model that the catalogue does not know yet; one that it knows keeps its provider.
INSERT INTO models (model, provider, context_tokens) VALUES (%(model)s, %(provider)s, %(context_tokens)s)
ON CONFLICT (model) DO NOTHING
