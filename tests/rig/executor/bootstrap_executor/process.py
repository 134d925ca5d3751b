"""A runtime process: `bootstrap`, all that it starts, and the Runtime API it talks to."""

import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from queue import Empty

from .output import Output
from .runtime_api import Exited, Happening, Invocation, RuntimeApi

#: setpriv's, and a shell's, for a program that cannot be run.
_NOT_STARTED = 126


class RuntimeProcess:
    """Runs until it ends by itself or is killed, at the latest when the emulator ends, however that ends.

    When the emulator is killed, the kernel ends `bootstrap` alone. Its children have to ask for the same.
    """

    def __init__(self, bootstrap: Path, variables: dict[str, str], output: Output) -> None:
        self._api = RuntimeApi()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._pid: int | None = None
        started = threading.Event()
        environment = {**variables, "AWS_LAMBDA_RUNTIME_API": self._api.address}
        arguments = (bootstrap, environment, output, started)
        threading.Thread(target=self._run, args=arguments, daemon=True, name="bootstrap").start()
        started.wait()

    @property
    def ended(self) -> bool:
        """Whether it is gone."""
        return self._ended.is_set()

    def send(self, invocation: Invocation) -> None:
        """Hands it an event."""
        self._api.send(invocation)

    def wait(self, deadline: float) -> Happening | None:
        """What it does next, or None when it does nothing until the deadline of the monotonic clock."""
        try:
            return self._api.happenings.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            return None

    def kill(self) -> None:
        """Ends it and all that it started, and waits until it is gone."""
        with self._lock:
            if self._pid is not None:
                os.killpg(self._pid, signal.SIGKILL)
        self._ended.wait()

    def _run(self, bootstrap: Path, environment: dict[str, str], output: Output, started: threading.Event) -> None:
        """Starts it and sees it end, in one thread: for the kernel, the thread that starts a process is its parent."""
        returncode = _NOT_STARTED
        try:
            process = _start(bootstrap, environment, output)
            self._pid = process.pid
            started.set()
            # The process group's number is not given away before its process has been waited for.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            with self._lock:
                os.killpg(process.pid, signal.SIGKILL)
                self._pid = None
            returncode = process.wait()
        except OSError as error:
            output.line(f"{bootstrap}: {error}")
        finally:
            started.set()
            self._ended.set()
            self._api.happenings.put(Exited(returncode))
            self._api.close()


def _start(bootstrap: Path, environment: dict[str, str], output: Output) -> subprocess.Popen[bytes]:
    setpriv = shutil.which("setpriv") or "setpriv"
    return subprocess.Popen(
        [setpriv, "--pdeathsig", "KILL", bootstrap],
        cwd=bootstrap.parent,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output.writer,
        stderr=output.writer,
        start_new_session=True,
    )
