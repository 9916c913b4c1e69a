"""Text: words, word vectors and how they are learnt."""
