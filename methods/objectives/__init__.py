"""Training objectives, one small file each: the loss and its search space."""
