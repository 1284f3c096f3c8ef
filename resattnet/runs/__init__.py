"""What a training run leaves on disk and reads back: its folder, states, progress, logs and history."""
