#!/usr/bin/env python3
"""Convert a trained network to another format: `resattnet export` from a clone, without an install."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from resattnet.commands import run

if __name__ == "__main__":
    run("export")
