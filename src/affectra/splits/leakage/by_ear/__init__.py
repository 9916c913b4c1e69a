"""Leakage that the sound gives away: copies of a recording under other names."""
