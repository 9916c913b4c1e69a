"""Readers of one's own corpora: tables, folders, audformat databases, EmoBox lists; and audformat written."""
