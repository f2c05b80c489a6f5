"""Classification metrics, baselines and significance."""
