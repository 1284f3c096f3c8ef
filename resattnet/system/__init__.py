"""The foundation of the other sub-packages: MXNet's import, the machine, its devices, files, signals and errors."""
