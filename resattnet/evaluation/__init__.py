"""Evaluate trained networks: metrics, results on test sets, classifier, soft masks, robustness."""
