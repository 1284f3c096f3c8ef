"""Training: options, optimizer, schedules, step, loop and checkpoints."""
