"""The Runtime API of one runtime process: HTTP on a port of its own, as documented for custom runtimes."""

import json
import sys
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from queue import SimpleQueue
from socketserver import ThreadingTCPServer
from typing import Any

from .outcome import ANSWER_LIMIT, Outcome, answered, init_reported, reported

_VERSION = "/2018-06-01/runtime/"
_ACCEPTED = b'{"status":"OK"}'


@dataclass(frozen=True)
class Invocation:
    """One event on its way to the function."""

    request_id: str
    function_arn: str
    trace_id: str
    deadline_ms: int
    payload: bytes


@dataclass(frozen=True)
class Ready:
    """The process asked for the next event: it has started, or is done with the one before."""


@dataclass(frozen=True)
class Answered:
    """The process posted what came of the event."""

    outcome: Outcome


@dataclass(frozen=True)
class InitFailed:
    """The process posted that it cannot start."""

    outcome: Outcome


@dataclass(frozen=True)
class Exited:
    """The process is gone, and all that it had started."""

    returncode: int


type Happening = Ready | Answered | InitFailed | Exited


class RuntimeApi(ThreadingTCPServer):
    """Hands out invocations, and puts what the process does in a queue."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.happenings: SimpleQueue[Happening] = SimpleQueue()
        #: The event that has no answer yet.
        self.open: str | None = None
        self._invocations: SimpleQueue[Invocation | None] = SimpleQueue()
        threading.Thread(target=self.serve_forever, daemon=True, name="runtime-api").start()

    @property
    def address(self) -> str:
        """For AWS_LAMBDA_RUNTIME_API."""
        return "{}:{}".format(*self.server_address)

    def send(self, invocation: Invocation) -> None:
        """Hands an event to the process, which waits for it."""
        self._invocations.put(invocation)

    def next(self) -> Invocation | None:
        """Waits for an event. None at the end."""
        self.happenings.put(Ready())
        invocation = self._invocations.get()
        self.open = invocation.request_id if invocation else None
        return invocation

    def close(self) -> None:
        """Stops to listen, and lets go of a request for the next event. Takes up to half a second."""
        self._invocations.put(None)
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Prints errors, but for a connection that broke because the process was killed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Request(BaseHTTPRequestHandler):
    """The four calls of the API. What happened is told before it is confirmed: the process may exit right after."""

    protocol_version = "HTTP/1.1"
    #: Headers and body leave together: apart, the second waits for the first one's delayed acknowledgement.
    wbufsize = -1
    server: RuntimeApi

    def do_GET(self) -> None:
        if self.path != _VERSION + "invocation/next":
            self._refuse(HTTPStatus.NOT_FOUND, "NotFound", "no such call")
        elif invocation := self.server.next():
            headers = {
                "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
                "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
                "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
                "Lambda-Runtime-Trace-Id": invocation.trace_id,
            }
            self._reply(HTTPStatus.OK, invocation.payload, headers)
        else:
            self.close_connection = True

    def do_POST(self) -> None:
        body = self._body()
        match self.path.removeprefix(_VERSION).split("/"):
            case ["invocation", request_id, "response" | "error"] if request_id != self.server.open:
                self._refuse(HTTPStatus.BAD_REQUEST, "InvalidRequestID", "Invalid request ID")
            case ["invocation", _, "response"]:
                self._end(answered(body))
                if len(body) > ANSWER_LIMIT:
                    message = f"Exceeded maximum allowed payload size ({ANSWER_LIMIT} bytes)."
                    self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "RequestEntityTooLarge", message)
                else:
                    self._reply(HTTPStatus.ACCEPTED, _ACCEPTED)
            case ["invocation", _, "error"]:
                self._end(reported(body))
                self._reply(HTTPStatus.ACCEPTED, _ACCEPTED)
            case ["init", "error"]:
                self.server.happenings.put(InitFailed(init_reported(body)))
                self._reply(HTTPStatus.ACCEPTED, _ACCEPTED)
            case _:
                self._refuse(HTTPStatus.NOT_FOUND, "NotFound", "no such call")

    def _end(self, outcome: Outcome) -> None:
        self.server.open = None
        self.server.happenings.put(Answered(outcome))

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            size = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(size)
            if len(body) < size:
                raise ConnectionError("the process ended while it posted")
            return body
        chunks = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # Trailers say nothing that is needed here.
        return b"".join(chunks)

    def _refuse(self, status: HTTPStatus, error_type: str, message: str) -> None:
        self._reply(status, json.dumps({"errorType": error_type, "errorMessage": message}).encode())

    def _reply(self, status: HTTPStatus, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Says nothing: requests are no news."""
