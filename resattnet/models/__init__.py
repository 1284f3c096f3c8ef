"""Specify, build, load and transform networks: units, attention modules, trained parameters, other graphs."""
