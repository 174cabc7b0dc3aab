"""Tasks: data, a model, a loss and metrics as pure functions."""
