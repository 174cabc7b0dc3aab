"""Probes: what is measured while training, without changing it."""
