"""Run a command: `python -m resattnet [COMMAND ...]`."""

from .commands import run

if __name__ == "__main__":
    run()
