"""One fold of a run: over utterances, over dialogues, over time."""
