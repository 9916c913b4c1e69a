"""Speech to text: recognisers, word errors, forced alignment, and text as a recogniser would have spoilt it."""
