"""Networks that answer at each moment."""
