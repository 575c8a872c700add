"""A command that asks on a terminal, and somebody who answers."""

import os
import pty
import subprocess
import sys

from tests.service.stranger import ROOT


def answered(answer, program, *arguments):
    """Run a program in a process of its own on a terminal; return its exit code and output.

    Args:
        answer: what is typed.
        program: Python text.
        arguments: of the command line.
    """
    ours, theirs = pty.openpty()
    try:
        asked = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"},
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=theirs,
        )
        os.write(ours, answer)
        printed, _ = asked.communicate(timeout=60)
    finally:
        os.close(theirs)
        os.close(ours)
    return asked.returncode, printed
