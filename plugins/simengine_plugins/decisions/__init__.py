"""Rules that turn log-probabilities into signals."""
