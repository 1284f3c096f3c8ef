"""The machine: its cores, devices and GPUs, and MXNet's import made to work on it."""
