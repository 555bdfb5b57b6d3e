"""Messages that a consumer gave up: kept, shown, sent again or discarded."""
