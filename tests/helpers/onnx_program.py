"""Run the stand-alone program of docs/export.md on image files."""

import os
import subprocess
import sys

from helpers.scripts import ROOT


def answers_of_program(folder, exported, files):
    """Return the most probable class of each file, and its percentage, as the program prints them."""
    with open(os.path.join(ROOT, "docs", "export.md"), encoding="utf-8") as page:
        text = page.read().split("<!-- predict_onnx -->")[1].split("```python\n")[1].split("```")[0]
    with open(os.path.join(str(folder), "predict_onnx.py"), "w", encoding="utf-8") as program:
        program.write(text)
    driver = (
        "import runpy, sys; names = sys.argv[2:]\n"
        "for sys.argv[2:] in zip(names): runpy.run_path('predict_onnx.py'); print('-')"
    )
    done = subprocess.run(
        [sys.executable, "-c", driver, str(exported), *map(str, files)],
        cwd=str(folder),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    firsts = [answer.strip().splitlines()[0].split() for answer in done.stdout.split("-\n")[:-1]]
    assert all(sign == "%" for _, sign, _ in firsts)
    return [(float(percent), name) for percent, _, name in firsts]
