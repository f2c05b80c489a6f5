"""Feature matrices computed from bars, causally."""
