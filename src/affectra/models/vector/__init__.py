"""Models of one vector an utterance, fitted in closed form or by a solver, without epochs."""
