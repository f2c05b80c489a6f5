"""Which train rows are hard enough to be seen more often."""
