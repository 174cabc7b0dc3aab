"""Up to which peak rate training works, by warmup and optimizer; the study, its statistics, its chapter."""
