-- Insert a model that is not in the catalog. A known model keeps its provider.
INSERT INTO models (model, provider, context_tokens) VALUES (%(model)s, %(provider)s, %(context_tokens)s)
ON CONFLICT (model) DO NOTHING
