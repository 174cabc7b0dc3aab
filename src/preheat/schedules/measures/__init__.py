"""What can be said of a schedule without training."""
