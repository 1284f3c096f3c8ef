"""Measurements of speed and memory, against PyTorch where it is installed."""
