"""Stages that several studies use: batches of runs that follow from earlier ones."""
