"""``python -m example_app.demo``."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    # While modules are imported, nothing has to be cleaned up: Ctrl-C ends the process at once, without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from .command import main as command

    return command()


if __name__ == "__main__":
    sys.exit(main())
