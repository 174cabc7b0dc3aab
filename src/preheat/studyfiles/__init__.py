"""Studies and runs from YAML, TOML and JSON files; every error at its line."""
