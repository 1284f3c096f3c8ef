"""Trained networks on images: metrics, classifier, soft masks, robustness."""
