"""Training: one run's functions, lifted to fleets."""
