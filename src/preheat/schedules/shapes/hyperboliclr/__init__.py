"""The 13 schedules of the HyperbolicLR experiments, by their codes."""
