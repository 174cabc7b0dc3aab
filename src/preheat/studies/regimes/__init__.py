"""Warmup across data regimes: the study, its analysis, its chapters and the original project's files."""
