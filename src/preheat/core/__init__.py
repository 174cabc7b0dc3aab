"""The nouns: lengths, specs, runs, grids, studies, records, registries. Standard library only."""
