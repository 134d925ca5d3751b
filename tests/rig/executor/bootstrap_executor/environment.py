"""An execution environment: one event at a time, in a process that is kept for the next one."""

import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from . import report
from .outcome import Outcome, exited, timed_out, without_entrypoint
from .output import Output
from .process import RuntimeProcess
from .runtime_api import Answered, Exited, InitFailed, Invocation, Ready

#: How long the init phase may take.
_INIT_LIMIT = 10.0


@dataclass(frozen=True)
class Function:
    """What of a function's configuration its environments are made from."""

    task_root: Path
    version: str
    timeout: float
    memory_mb: int
    variables: dict[str, str]


class ExecutionEnvironment:
    """Follows the phases of Lambda: init, invoke again and again, shutdown.

    An init that fails is not told to anybody. It is done again within the next invocation, as after a process that
    exited or was killed; what comes of that is the invocation's error. The folder for temporary files stays until the
    shutdown.
    """

    _running: ClassVar[set["ExecutionEnvironment"]] = set()

    def __init__(self, environment_id: str, function: Function) -> None:
        self._id = environment_id
        self._function = function
        self._tmp = tempfile.mkdtemp(prefix=f"{environment_id[:8]}-")
        self._output = Output()
        self._process: RuntimeProcess | None = None
        self._init_ms: float | None = None
        self._running.add(self)

    def init(self) -> None:
        """The init phase."""
        self._start("init", self._id, _INIT_LIMIT, time.monotonic() + _INIT_LIMIT)

    def invoke(self, request_id: str, function_arn: str, trace_id: str, payload: bytes) -> tuple[Outcome, str]:
        """The invoke phase: an event, and the log of it."""
        began = time.monotonic()
        deadline_ms = int((time.time() + self._function.timeout) * 1000)
        self._output.line(report.start(request_id, self._function.version))
        invocation = Invocation(request_id, function_arn, trace_id, deadline_ms, payload)
        outcome = self._run(invocation, began + self._function.timeout)
        ms = (time.monotonic() - began) * 1000
        init_ms, self._init_ms = self._init_ms, None
        self._output.line(report.end(request_id, ms, init_ms, self._function.memory_mb, outcome))
        return outcome, self._output.take()

    def stop(self) -> None:
        """The shutdown phase, once."""
        if self not in self._running:
            return
        self._running.discard(self)
        if self._process:
            self._process.kill()
        self._output.close()
        shutil.rmtree(self._tmp, ignore_errors=True)

    @classmethod
    def stop_all(cls) -> None:
        """Stops those that run, whatever they are doing."""
        for environment in list(cls._running):
            environment.stop()

    def log(self) -> str:
        """What no invocation has given out yet."""
        return self._output.peek()

    def _start(self, phase: str, request_id: str, limit: float, deadline: float) -> RuntimeProcess | Outcome:
        """Starts a process and waits until it asks for an event, or says why it does not."""
        began = time.monotonic()
        bootstrap = self._function.task_root / "bootstrap"
        if not os.access(bootstrap, os.X_OK):
            return without_entrypoint(request_id)
        process = RuntimeProcess(bootstrap, {**self._function.variables, "TMPDIR": self._tmp}, self._output)
        self._process = process
        happening = process.wait(deadline)
        ms = (time.monotonic() - began) * 1000
        match happening:
            case Ready():
                self._init_ms = ms
                return process
            case InitFailed(outcome):
                failure = outcome
            case Exited(returncode):
                failure = exited(request_id, returncode)
            case _:
                failure = timed_out(request_id, limit)
        process.kill()
        self._output.line(report.init(ms, phase, failure))
        return failure

    def _run(self, invocation: Invocation, deadline: float) -> Outcome:
        """Has the event handled, by a new process if there is none."""
        if self._process and not self._process.ended:
            return self._handle(self._process, invocation, deadline)
        started = self._start("invoke", invocation.request_id, self._function.timeout, deadline)
        if isinstance(started, Outcome):
            return self._logged(started)
        return self._handle(started, invocation, deadline)

    def _handle(self, process: RuntimeProcess, invocation: Invocation, deadline: float) -> Outcome:
        """Hands the event to the process and waits until it asks for the next one: only then is it done with this.

        When it exits or its time is over after it answered, the caller has the answer all the same.
        """
        process.send(invocation)
        answer: Outcome | None = None
        while True:
            match process.wait(deadline):
                case Answered(outcome):
                    answer = outcome
                case Ready() if answer:
                    return answer
                case Exited(returncode):
                    failure = self._logged(exited(invocation.request_id, returncode))
                    return answer or failure
                case None:
                    process.kill()
                    failure = self._logged(timed_out(invocation.request_id, self._function.timeout))
                    return answer or failure

    def _logged(self, failure: Outcome) -> Outcome:
        if failure.log:
            self._output.line(failure.log)
        return failure
