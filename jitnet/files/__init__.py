"""Files that jitnet writes and reads: models, weights, checkpoints, and how none is left half-written."""
