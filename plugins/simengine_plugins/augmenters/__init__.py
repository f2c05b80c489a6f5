"""Random changes of train windows."""
