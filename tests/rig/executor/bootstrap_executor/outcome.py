"""How an invocation ends, in the words of Lambda: state machines match on these error types."""

import json
import signal
from dataclasses import dataclass
from datetime import UTC, datetime

#: What a synchronous answer may weigh: 6 MB and a little for its envelope.
ANSWER_LIMIT = 6 * 1024 * 1024 + 100


@dataclass(frozen=True)
class Outcome:
    """The payload a caller of Invoke gets, whether it is an error, and what REPORT says of it."""

    payload: bytes
    is_error: bool = False
    #: `error`, which has a type, or `timeout`, when the platform ended the invocation and not the function.
    status: str | None = None
    error_type: str | None = None
    #: What the platform writes to the log about it.
    log: str | None = None


def answered(payload: bytes) -> Outcome:
    """The function answered, perhaps with more than Lambda passes on."""
    if len(payload) <= ANSWER_LIMIT:
        return Outcome(payload)
    message = f"Response payload size exceeded maximum allowed payload size ({ANSWER_LIMIT} bytes)."
    return _failed("Function.ResponseSizeTooLarge", message)


def reported(payload: bytes) -> Outcome:
    """The function reported an error of its own, whose text is passed on as it is."""
    return Outcome(payload, is_error=True)


def init_reported(payload: bytes) -> Outcome:
    """The runtime reported that it cannot start."""
    try:
        error_type = json.loads(payload)["errorType"]
    except (ValueError, KeyError, TypeError):
        error_type = "Runtime.Unknown"
    return Outcome(payload, is_error=True, status="error", error_type=error_type)


def timed_out(request_id: str, seconds: float) -> Outcome:
    """The function's timeout passed."""
    what = f"Task timed out after {seconds:.2f} seconds"
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    payload = _payload("Sandbox.Timedout", f"RequestId: {request_id} Error: {what}")
    return Outcome(payload, is_error=True, status="timeout", log=f"{now} {request_id} {what}")


def exited(request_id: str, returncode: int) -> Outcome:
    """The runtime process ended before it answered."""
    if returncode == 0:
        how = "without providing a reason"
    elif returncode > 0:
        how = f"with error: exit status {returncode}"
    else:
        how = f"with error: signal: {(signal.strsignal(-returncode) or str(-returncode)).lower()}"
    return _runtime_failed("Runtime.ExitError", request_id, f"Runtime exited {how}")


def without_entrypoint(request_id: str) -> Outcome:
    """The code holds no `bootstrap`."""
    what = "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"
    return _runtime_failed("Runtime.InvalidEntrypoint", request_id, what)


def _runtime_failed(error_type: str, request_id: str, what: str) -> Outcome:
    message = f"RequestId: {request_id} Error: {what}"
    return _failed(error_type, message, f"{message}\n{error_type}")


def _failed(error_type: str, message: str, log: str | None = None) -> Outcome:
    payload = _payload(error_type, message)
    return Outcome(payload, is_error=True, status="error", error_type=error_type, log=log)


def _payload(error_type: str, message: str) -> bytes:
    return json.dumps({"errorType": error_type, "errorMessage": message}).encode()
