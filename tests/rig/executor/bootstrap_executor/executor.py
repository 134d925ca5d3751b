"""The plugin itself: LocalStack's calls, answered by an execution environment made of local processes.

LocalStack does the rest: it unpacks the code, has one executor for each event at a time and uses it again, makes the
function's variables and credentials, and writes the log to CloudWatch Logs when an invocation has ended.
"""

import os

from localstack.services.lambda_.invocation.lambda_models import ArchiveCode, FunctionVersion, InvocationResult
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor

from .environment import ExecutionEnvironment, Function

#: Variables of the emulator that functions get too: where this machine keeps what a function brings along on Lambda.
_PASSED_ON = ("PATH", "HOME", "HF_ASSETS_DIR", "PRODUCER_HEADLESS_SHELL_PATH", "RUST_BACKTRACE")
#: As on Lambda.
_USUAL = {"PATH": "/usr/local/bin:/usr/bin/:/bin:/opt/bin", "LANG": "en_US.UTF-8"}


class BootstrapExecutor(RuntimeExecutor):
    """One executor is one execution environment."""

    def __init__(self, id: str, function_version: FunctionVersion) -> None:
        super().__init__(id=id, function_version=function_version)
        self._environment: ExecutionEnvironment | None = None

    def start(self, env_vars: dict[str, str]) -> None:
        """Starts the environment. A function that cannot start says so in its first invocation, not here."""
        version = self.function_version
        task_root = _code(version).get_unzipped_code_location()
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        # Some are numbers. Those with LocalStack's name are for the program that it has in its containers.
        given = {name: str(value) for name, value in env_vars.items() if not name.startswith("LOCALSTACK_")}
        function = Function(
            task_root=task_root,
            version=version.id.qualifier,
            timeout=float(version.config.timeout),
            memory_mb=version.config.memory_size,
            variables={**_USUAL, **passed_on, **given, "LAMBDA_TASK_ROOT": str(task_root)},
        )
        self._environment = ExecutionEnvironment(self.id, function)
        self._environment.init()

    def stop(self) -> None:
        if self._environment:
            self._environment.stop()

    def invoke(self, payload: dict[str, str]) -> InvocationResult:
        assert self._environment, "LocalStack starts an executor before it invokes it"
        request_id = payload["invoke-id"]
        outcome, log = self._environment.invoke(
            request_id, payload["invoked-function-arn"], payload["trace-id"], payload["payload"].encode()
        )
        return InvocationResult(request_id, outcome.payload, is_error=outcome.is_error, logs=log)

    def get_logs(self) -> str:
        return self._environment.log() if self._environment else ""

    def get_address(self) -> str:
        return "127.0.0.1"

    def get_endpoint_from_executor(self) -> str:
        return "127.0.0.1"

    def get_runtime_endpoint(self) -> str:
        """Nothing: the process talks to its environment, not to LocalStack."""
        return ""

    @classmethod
    def prepare_version(cls, function_version: FunctionVersion) -> None:
        """Unpacks the code."""
        _code(function_version).prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version: FunctionVersion) -> None:
        """Does nothing: LocalStack removes the unpacked code."""


def _code(version: FunctionVersion) -> ArchiveCode:
    if version.config.code is None:
        raise ValueError("only functions made from a zip archive can run as local processes")
    return version.config.code
