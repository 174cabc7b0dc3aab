"""The schedules, each in the file of its name."""
