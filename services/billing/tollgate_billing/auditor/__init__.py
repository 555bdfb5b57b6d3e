"""The proof, again and again, that ledger, charges and reports hold the same events, each once."""
