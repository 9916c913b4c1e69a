"""Networks over the turns of a dialogue, and the checkpoint of such a fold."""
