"""Trackers: what training says, told to other people's tools."""
