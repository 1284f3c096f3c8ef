"""The foundation of the other sub-packages: errors, files, signals, streams and texts."""
