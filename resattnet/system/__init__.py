"""The foundation of all rooms: MXNet's import, the machine, files, signals, errors, options and the command line."""
