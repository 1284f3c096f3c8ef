"""Recipes of reported results, and their reproduction."""
