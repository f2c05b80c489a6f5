"""The run's configuration: its schema and its strict loader."""
