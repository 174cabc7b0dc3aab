"""Questions, declared; and the reader of study files."""
