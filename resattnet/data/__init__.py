"""Data sets, image files, transforms and loaders."""
