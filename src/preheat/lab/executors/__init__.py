"""Who trains units, and where: one file for each."""
