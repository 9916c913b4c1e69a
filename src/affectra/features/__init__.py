"""Features: what a network gets of an utterance, from samples or words to one vector a frame.

Takes samples at a front end's own rate, or a transcript; gives frames (frame, feature), which are cached on disk by the
content of what they were computed from. Front ends of sound are in `audio/` and `leaf/`, those of text in `text/` and
`words/`; `frames/` has forms of some of them without torch, which exported models use. Open `front_ends.py` first.
"""
