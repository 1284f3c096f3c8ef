"""What stands under everything: MXNet's import, the machine, files, signals, errors and the command line."""
