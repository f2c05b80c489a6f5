"""The oracle market: simulated bars with exact class probabilities."""
