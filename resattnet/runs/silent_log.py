"""The log of a process that writes no files of the run: `SilentLog`."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence

from .logs import RunLog


class SilentLog(RunLog):
    """The log of a process of a run whose logs another process writes: only notes and warnings are shown."""

    def __init__(self) -> None:
        self._forget()
        self.board_dir = self.text_path = self.csv_path = ""

    def line(self, text: str, brief: Optional[str] = None) -> None:
        """Show a note or a warning, and nothing else."""
        if text.startswith(("note: ", "warning: ")):
            super().line(text, brief)

    def table(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write nothing."""

    def start_bar(self, label: str, total: int, done: int = 0) -> None:
        """Show nothing."""
