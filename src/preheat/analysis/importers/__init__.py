"""Other people's files of learning curves, a file for each format."""
