"""Write the table of the tries at the end of a full run in which all tests passed."""

from helpers import tries


def pytest_sessionfinish(session, exitstatus):
    if tries.FULL and exitstatus == 0 and tries.counts:
        tries.write_table()
