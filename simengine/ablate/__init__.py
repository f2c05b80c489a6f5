"""`simengine ablate`: which improvement helps, by how much, and what cannot be told apart from noise."""
