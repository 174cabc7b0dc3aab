"""Records on disk: append-only segments that two writers can't corrupt and a kill can't break."""
