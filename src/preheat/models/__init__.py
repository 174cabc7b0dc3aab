"""Models: networks that any image task takes."""
