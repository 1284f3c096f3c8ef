"""Specify and build networks: units, attention modules, other graphs of them, summaries."""
