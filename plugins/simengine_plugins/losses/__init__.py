"""Training losses per row."""
