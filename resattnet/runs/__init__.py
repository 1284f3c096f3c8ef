"""What a training run leaves on disk: its folder, states, progress, logs and history."""
