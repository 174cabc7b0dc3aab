"""From findings to a page, figures and tables. No torch."""
