"""Text: words, word vectors and how they are learnt; `asr/` has speech recognisers.

Takes transcripts, or recordings for a recogniser; gives words, their times and vectors. Open `words.py` first.
"""
