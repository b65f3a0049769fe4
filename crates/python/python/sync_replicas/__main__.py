"""The program `sync-replicas`, also as `python -m sync_replicas`."""

import signal
import sys

from . import _native


def main() -> int:
    """Does what the command line says, and answers the exit status."""
    # Python's handler would raise when the program, which has its own, has ended as it was asked.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    words = sys.argv[1:]
    # As this process was started, so that its servers find the package as it did.
    itself = [sys.executable, *sys.orig_argv[1 : len(sys.orig_argv) - len(words)]]
    return _native._program(itself, ["sync-replicas", *words])


if __name__ == "__main__":
    sys.exit(main())
