"""The command `preheat`."""
