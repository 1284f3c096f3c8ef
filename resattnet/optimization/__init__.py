"""What a training step minimises and how: losses, optimizers, learning rate schedules, averages of parameters."""
