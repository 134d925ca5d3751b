"""The platform's own lines in a function's log, as Lambda writes them.

They leave out the memory used, which nothing here measures.
"""

import math

from .outcome import Outcome


def start(request_id: str, version: str) -> str:
    """Before an invocation."""
    return f"START RequestId: {request_id} Version: {version}"


def init(ms: float, phase: str, failure: Outcome) -> str:
    """After a process that did not start."""
    return "\t".join([f"INIT_REPORT Init Duration: {ms:.2f} ms", f"Phase: {phase}", *_status(failure)])


def end(request_id: str, ms: float, init_ms: float | None, memory_mb: int, outcome: Outcome) -> str:
    """After an invocation. The init counts to the first that follows it."""
    fields = [
        f"REPORT RequestId: {request_id}",
        f"Duration: {ms:.2f} ms",
        f"Billed Duration: {math.ceil(ms + (init_ms or 0))} ms",
        f"Memory Size: {memory_mb} MB",
    ]
    if init_ms is not None:
        fields.append(f"Init Duration: {init_ms:.2f} ms")
    return f"END RequestId: {request_id}\n" + "\t".join(fields + _status(outcome))


def _status(outcome: Outcome) -> list[str]:
    """How the platform made an end, if it did."""
    fields = {"Status": outcome.status, "Error Type": outcome.status and outcome.error_type}
    return [f"{name}: {value}" for name, value in fields.items() if value]
