"""Front ends of text: a vector a word or a token."""
