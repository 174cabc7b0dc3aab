"""The standard chapters: what is said of any study."""
