"""Figures, tables, run reports and sheets of masks."""
