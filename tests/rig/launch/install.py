"""A virtual environment with the emulator, in the cache folder, by the contents of what it is made from."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_RIG = Path(__file__).resolve().parent.parent
_REQUIREMENTS = _RIG / "requirements.txt"
_EXECUTOR = _RIG / "executor"
#: Most of it is never imported: to compile it all would double the time, and add half to the size.
_PIP_OPTIONS = ("--no-compile", "--no-input", "--quiet", "--disable-pip-version-check")


def python() -> Path:
    """The environment's interpreter. The first call takes half a minute; calls at the same time wait for one of them."""
    folder = _cache() / _digest()
    complete = folder / ".complete"
    if not complete.exists():
        with _lock(folder.with_suffix(".lock")):
            if not complete.exists():
                _build(folder)
                complete.touch()
    return folder / "bin" / "python"


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "hyperframes-operator" / "rig"


def _digest() -> str:
    """Of everything the environment is made from, and the interpreter that it is tied to."""
    digest = hashlib.sha256(f"{sys.version}\0{sys.base_prefix}\0".encode())
    sources = (path for pattern in ("*.toml", "*/*.py") for path in _EXECUTOR.glob(pattern))
    for path in [_REQUIREMENTS, *sorted(sources)]:
        text = path.read_bytes()
        digest.update(f"{path.relative_to(_RIG)}\0{len(text)}\0".encode() + text)
    return digest.hexdigest()[:16]


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(folder: Path) -> None:
    """Makes it in its place, which its programs know it by. What an interrupted attempt left is thrown away."""
    print(f"installing the AWS emulator into {folder}, which takes half a minute", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    _run(sys.executable, "-m", "venv", folder)
    pip = (folder / "bin" / "python", "-m", "pip", "install", *_PIP_OPTIONS)
    _run(*pip, "--no-deps", "--requirement", _REQUIREMENTS)
    _run(*pip, "--no-deps", "--no-build-isolation", "--no-index", _EXECUTOR)


def _run(*command: str | Path) -> None:
    """Runs a program that ends with this one, and writes nothing to standard output."""
    ended = subprocess.run(["setpriv", "--pdeathsig", "KILL", *command], stdout=sys.stderr, check=False)
    if ended.returncode:
        sys.exit("the AWS emulator could not be installed: see above")
