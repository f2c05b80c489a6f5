"""Per-class weights of the training loss."""
