"""Tests for the logs of a run: the contents of the files on disk, however the run ends."""

import csv
import io
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from helpers.boards import read_board
from resattnet.runs import logs
from resattnet.runs.logs import RunLog
from resattnet.system.errors import InputError


def run_child(body, **kwargs):
    """Run Python code in a separate process."""
    code = f"import sys; sys.path.insert(0, {os.getcwd()!r})\n{textwrap.dedent(body)}"
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        timeout=100,
        text=True,
        **kwargs,
    )


def test_board_text_and_csv(tmp_path):
    with RunLog(str(tmp_path), "run", {"lr": 0.1, "epochs": 3}) as log:
        for step in range(50):
            log.scalars(step, {"loss/train": 1.0 / (step + 1), "progress/learning_rate": 0.1})
        log.line("epoch 1/3")
        log.table([{"epoch": 1, "loss": 0.5}])
        log.table([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}])
    board = read_board(tmp_path / "board" / "run")
    assert [step for step, _ in board["scalars"]["loss/train"]] == list(range(50))
    assert list(board["texts"]) == ["arguments"] and "| lr | 0.1 |" in board["texts"]["arguments"]
    assert (tmp_path / "text" / "run.log").read_text().endswith(" epoch 1/3\n")
    with open(str(tmp_path / "csv" / "run.csv")) as handle:
        assert list(csv.DictReader(handle)) == [{"epoch": "1", "loss": "0.5"}, {"epoch": "2", "loss": "0.25"}]


def epoch_row(epoch):
    figures = {"train_loss": 2.0, "train_accuracy": 0.25, "validation_loss": 1.5, "validation_top1": 0.5}
    return dict(figures, epoch=epoch, step=10 * epoch, validation_top5=0.75)


@pytest.mark.parametrize("earlier_version", [False, True])
def test_the_curves_of_a_resumed_run_are_whole(tmp_path, earlier_version):
    """Training and validation have the same tag in folders of their own. Each epoch is there once.

    A run of an earlier version has no such curves until it is resumed.
    """
    with RunLog(str(tmp_path), "run", {}) as log:
        for epochs in range(1, 3):
            if not earlier_version:
                log.epochs([epoch_row(epoch) for epoch in range(1, epochs + 1)])
    with RunLog(str(tmp_path), "run", {}) as log:
        for epochs in range(3, 5):
            log.epochs([epoch_row(epoch) for epoch in range(1, epochs + 1)])
    for curve, loss, accuracy in (("train", 2.0, 0.25), ("validation", 1.5, 0.5)):
        scalars = read_board(tmp_path / "board" / "run" / curve)["scalars"]
        # Files of writers that began in the same second have no order.
        assert {name: sorted(points) for name, points in scalars.items()} == {
            f"{name}/train_and_validation": [[10 * epoch, value] for epoch in range(1, 5)]
            for name, value in (("loss", loss), ("accuracy", accuracy))
        }


def test_pictures_come_back_as_they_were(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (20, 5, 9, 3), np.uint8)
    with RunLog(str(tmp_path), "run", {}) as log:
        for step, picture in enumerate(pictures):
            log.pictures(step, {"masks/stage1/module2": picture, "other": 255 - picture})
    images = read_board(tmp_path / "board" / "run")["images"]
    assert sorted(images) == ["masks/stage1/module2", "other"]
    for step, picture in enumerate(pictures):
        for name, expected in (("masks/stage1/module2", picture), ("other", 255 - picture)):
            assert images[name][step][0] == step
            np.testing.assert_array_equal(images[name][step][1], expected)


@pytest.mark.parametrize("end", ["raise RuntimeError('x')", "raise KeyboardInterrupt", "import os; os._exit(9)"])
def test_no_event_is_lost_however_the_run_ends(tmp_path, end):
    run_child(f"""
        from resattnet.runs.logs import RunLog
        with RunLog({str(tmp_path)!r}, "run", {{}}) as log:
            for step in range(50):
                log.scalars(step, {{"loss": step}})
            {end}
        """)
    assert len(read_board(tmp_path / "board" / "run")["scalars"]["loss"]) == 50


def test_a_full_disk_ends_the_logs_with_a_warning_and_not_the_run(tmp_path):
    done = run_child(f"""
        import resource, signal
        import numpy as np
        from resattnet.runs.logs import RunLog
        with RunLog({str(tmp_path)!r}, "run", {{}}) as log:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
            for step in range(2000):
                log.scalars(step, {{"loss": step}})
                log.pictures(step, {{"picture": np.zeros((4, 4, 3), np.uint8)}})
                log.line("a line of text")
            log.table([{{"epoch": epoch}} for epoch in range(2000)])
        print("trained on")
        """)
    assert done.returncode == 0 and done.stdout.endswith("trained on\n"), done.stderr
    for what in ("board", "text log", "CSV log"):
        assert done.stdout.count(f"warning: the {what} cannot be written") == 1


def test_a_csv_that_could_not_be_written_is_whole_after_the_next_epoch(tmp_path, monkeypatch, capsys):
    write, rows = logs.write_csv, [{"epoch": epoch} for epoch in (1, 2, 3, 4)]

    def full_for_two(path, table):
        if len(table) in (2, 3):
            raise OSError(28, "No space left on device")
        write(path, table)

    monkeypatch.setattr(logs, "write_csv", full_for_two)
    with logs.RunLog(str(tmp_path), "run", {}) as log:
        for count in (1, 2, 3, 4):
            log.table(rows[:count])
    with open(log.csv_path) as handle:
        assert handle.read() == "epoch\n1\n2\n3\n4\n"
    assert capsys.readouterr().out.count("warning: the CSV log cannot be written") == 1


@pytest.mark.parametrize("end", ["return 0", "raise Interrupted('stopped', 15)"])
@pytest.mark.parametrize(
    "place", ["reader, writer = os.pipe(); os.close(reader)", "writer = os.open('/dev/full', os.O_WRONLY)"]
)
def test_a_closed_terminal_does_not_end_the_run(tmp_path, place, end):
    """Losing the output changes neither the run nor the run's exit code.

    The output is a closed pipe, as with `2>&1 | head`, or is on a full disk.
    """
    done = run_child(f"""
        import os
        from resattnet.runs.logs import RunLog
        from resattnet.options import command_line
        from resattnet.system.signals import Interrupted

        def main():
            with RunLog({str(tmp_path)!r}, "run", {{}}) as log:
                log.line("first")
                {place}
                os.dup2(writer, 1)
                os.dup2(writer, 2)
                log.line("second")
                log.line("third")
            {end}

        command_line.run(main)
        """)
    assert done.returncode == (143 if "raise" in end else 0) and done.stdout == "first\n", done.stderr
    log = (tmp_path / "text" / "run.log").read_text()
    assert [log.count(word) for word in ("first", "second", "third", "warning: the output cannot")] == [1] * 4


def test_two_writers_in_one_second_keep_their_events(tmp_path):
    for step in (1, 2):
        run_child(f"""
            from resattnet.runs.logs import RunLog
            with RunLog({str(tmp_path)!r}, "run", {{}}) as log:
                log.scalars({step}, {{"loss": 1}})
            """)
    assert len(list((tmp_path / "board" / "run").glob("events.*"))) == 2
    assert len(read_board(tmp_path / "board" / "run")["scalars"]["loss"]) == 2


def test_lines_stand_in_for_the_bar_where_there_is_no_terminal(tmp_path, capsys):
    with RunLog(str(tmp_path), "run", {}) as log:
        log.start_bar("epoch 1/3", 10)
        log.advance()
        log.interim("step 1  loss 2.0", 75, 3 * 86400)
    out = capsys.readouterr()
    assert out.out == "  step 1  loss 2.0  epoch left 1 min 15 s  run left 3 d 00 h\n" and "epoch 1/3" not in out.err


def test_the_bar_shows_the_time_that_the_run_has_left(tmp_path, monkeypatch):
    """The bar itself shows the time left for the epoch. The run's comes next, where a narrow terminal has room."""
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    with RunLog(str(tmp_path), "run", {}) as log:
        log.start_bar("epoch 1/3", 10)
        log.advance()
        log.interim("step 1  loss 2.0", 75, 3 * 86400)
        log._bar.refresh()
        assert "epoch 1/3" in terminal.getvalue() and "run left 3 d 00 h" in terminal.getvalue()


def test_a_log_folder_that_cannot_be_made_names_the_parameter(tmp_path):
    (tmp_path / "file").write_text("")
    folder = str(tmp_path / "file" / "log")
    with pytest.raises(InputError) as error:
        RunLog(folder, "run", {})
    assert error.value.as_flags({"log_dir": "--log-dir"}).startswith(f"--log-dir {folder} cannot be written (Not a dir")


def test_a_board_that_cannot_be_opened_does_not_end_the_run(tmp_path, capsys):
    """MXBoard makes a ValueError of the error. In /proc/self nobody can make files."""
    (tmp_path / "board").mkdir()
    os.symlink("/proc/self", str(tmp_path / "board" / "run"))
    with RunLog(str(tmp_path), "run", {}) as log:
        log.scalars(1, {"loss": 1.0})
        log.line("trained on")
    out = capsys.readouterr().out
    assert out.count("warning: the board cannot be written (failed to open file") == 1 and "trained on" in out


def test_a_log_needs_no_standard_streams(tmp_path, monkeypatch):
    """Python has None for streams that were closed when the process began."""
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    with RunLog(str(tmp_path), "run", {}) as log:
        log.start_bar("epoch 1/3", 10)
        log.advance()
        log.line("trained on")
    assert (tmp_path / "text" / "run.log").read_text().endswith("trained on\n")


class LostTerminal(io.StringIO):
    """A terminal that can be taken away."""

    lost = False

    def isatty(self):
        return True

    def fileno(self):
        return os.open(os.devnull, os.O_WRONLY)

    def write(self, text):
        if self.lost:
            raise OSError(28, "lost")
        return super().write(text)


@pytest.mark.parametrize("action", ["advance", "line", "end_bar"])
def test_a_bar_whose_terminal_is_gone_is_dropped(tmp_path, monkeypatch, capsys, action):
    terminal = LostTerminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with RunLog(str(tmp_path), "run", {}) as log:
        log.start_bar("epoch 1/3", 10)
        assert "epoch 1/3" in terminal.getvalue()
        terminal.lost = True
        monkeypatch.setattr(log._bar, "mininterval", 0)
        getattr(log, action)(*(["a line"] if action == "line" else []))
        log.line("trained on")
    out = capsys.readouterr().out
    assert "warning: the progress bar cannot be written" in out and "trained on" in out
    assert ("a line" in out) == (action == "line")
