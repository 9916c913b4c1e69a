"""Leakage that names give away: speakers, sentences and origins written in the names of files."""
