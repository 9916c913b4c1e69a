"""Training: one fold's weights and test predictions, with Lightning."""
