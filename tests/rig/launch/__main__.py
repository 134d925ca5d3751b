"""Command line of `up`."""

import argparse
from pathlib import Path

import emulator
import install


def main() -> None:
    parser = argparse.ArgumentParser(prog="up", description="Runs an AWS emulator on this machine.")
    parser.add_argument("--install-only", action="store_true", help="only fetch it, and print where it is")
    parser.add_argument("--port", type=int, help="where it listens on 127.0.0.1")
    parser.add_argument("--state", type=Path, metavar="DIR", help="where it keeps its files")
    arguments = parser.parse_args()
    if not arguments.install_only and not (arguments.port and arguments.state):
        parser.error("--port and --state are needed")
    python = install.python()
    if arguments.install_only:
        print(python)
    else:
        emulator.become(python, arguments.port, arguments.state)


main()
