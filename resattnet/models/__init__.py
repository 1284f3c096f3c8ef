"""The networks: their specification, units, attention modules, builders and trained parameters."""
