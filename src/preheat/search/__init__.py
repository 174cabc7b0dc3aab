"""Search: which settings are best, found by Optuna's samplers and pruners, every trial an ordinary run."""
