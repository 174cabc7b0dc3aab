"""Schedules with the numbers that belong to them: projects, papers, and rules of thumb."""
