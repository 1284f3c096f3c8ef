#!/usr/bin/env python3
"""Measure the speed of training and inference: `resattnet benchmark` from a clone, without an install."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from resattnet.commands import run

if __name__ == "__main__":
    run("benchmark")
