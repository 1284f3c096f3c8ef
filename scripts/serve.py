#!/usr/bin/env python3
"""Answer requests over HTTP: `resattnet serve` from a clone, without an install."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from resattnet.commands import run

if __name__ == "__main__":
    run("serve")
