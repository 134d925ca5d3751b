"""LocalStack in host mode: no container, no account, no network, no trace outside a folder."""

import fcntl
import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

#: What it gets of the caller's environment. Anything else may change what it does.
_PASSED_ON = (
    "PATH",
    "HOME",
    "LS_LOG",
    "HF_ASSETS_DIR",
    "PRODUCER_HEADLESS_SHELL_PATH",
    "RUST_BACKTRACE",
    "LAMBDA_LIMITS_CONCURRENT_EXECUTIONS",
)


def become(python: Path, port: int, state: Path) -> NoReturn:
    """Replaces this process by the emulator."""
    state = state.resolve()
    state.mkdir(parents=True, exist_ok=True)
    _claim(state)
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    # -P: the working directory may hold modules of any name.
    arguments = [str(python), "-P", "-m", "localstack.runtime.main"]
    os.execve(python, arguments, {**passed_on, **_settings(port, state)})


def _claim(state: Path) -> None:
    """Locks the folder until the emulator ends, and throws away what another one left there."""
    lock = os.open(state / "lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"another emulator keeps its files in {state}")
    os.set_inheritable(lock, True)
    for name in ("files", "tmp"):
        shutil.rmtree(state / name, ignore_errors=True)
        (state / name).mkdir()


def _settings(port: int, state: Path) -> dict[str, str]:
    address = f"127.0.0.1:{port}"
    return {
        "GATEWAY_LISTEN": address,
        "LOCALSTACK_HOST": address,
        # The two plugins of `executor`.
        "GATEWAY_SERVER": "loopback",
        "LAMBDA_RUNTIME_EXECUTOR": "bootstrap",
        # It takes any container for its own, and writes to that one's usual places.
        "OVERRIDE_IN_DOCKER": "0",
        "FILESYSTEM_ROOT": str(state / "files"),
        "TMPDIR": str(state / "tmp"),
        # Its list of plugins, and a person's own settings, are looked for here.
        "XDG_CACHE_HOME": str(state / "files"),
        "CONFIG_DIR": str(state / "files"),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        # No name server, no certificate from elsewhere, no reports of its use.
        "DNS_ADDRESS": "0",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DISABLE_EVENTS": "1",
        "PYTHONUNBUFFERED": "1",
    }
