"""``python -m simengine`` and the ``simengine`` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from simengine.cli.app import execute

    sys.exit(execute(sys.argv[1:]))


if __name__ == "__main__":
    main()
