"""Why warmup helps: loss, sharpness and its threshold over a run; the study, its statistics, its chapter."""
