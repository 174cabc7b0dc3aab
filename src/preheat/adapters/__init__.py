"""For people who bring their own training loop."""
