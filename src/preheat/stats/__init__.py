"""Numbers only: estimates with intervals, tests, bounds, means of lines."""
