"""Networks that answer once an utterance."""
