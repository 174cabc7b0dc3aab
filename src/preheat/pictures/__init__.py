"""Schedules drawn, and the gallery."""
