"""Networks by name: their builders, parameter files and packaged weights."""
