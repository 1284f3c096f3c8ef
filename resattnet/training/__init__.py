"""Training: data, step, loop and checkpoints."""
