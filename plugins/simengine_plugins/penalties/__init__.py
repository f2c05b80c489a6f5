"""Terms added to the training loss."""
