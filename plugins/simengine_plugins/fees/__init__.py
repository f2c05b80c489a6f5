"""What a fill costs."""
