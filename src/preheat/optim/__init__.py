"""Optimizers as two pure functions of one run's tensors."""
