"""Measure trained networks on test images: metrics, results of one or several files, robustness."""
