"""Maps from scores to calibrated log-probabilities."""
