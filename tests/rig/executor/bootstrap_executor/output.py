"""What the processes of an execution environment print, in order with the platform's own lines."""

import os
import select
import threading


class Output:
    """A pipe that is read while a process writes, so that it never blocks, and once more before the text is taken.

    What a process prints before it answers is thereby in the text that is taken after the answer.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._lock = threading.Lock()
        self._text = bytearray()
        threading.Thread(target=self._read_on, daemon=True, name="bootstrap-output").start()

    @property
    def writer(self) -> int:
        """The file descriptor for a process's standard output and error."""
        return self._writer

    def line(self, text: str) -> None:
        """Adds a line of the platform after everything printed so far."""
        with self._lock:
            self._drain()
            self._text += f"{text}\n".encode()

    def peek(self) -> str:
        """What has not been taken yet."""
        with self._lock:
            self._drain()
            return self._text.decode(errors="replace")

    def take(self) -> str:
        """The same, once."""
        with self._lock:
            self._drain()
            text = self._text.decode(errors="replace")
            self._text.clear()
            return text

    def close(self) -> None:
        """Ends the reading once no process writes any more."""
        os.close(self._writer)

    def _read_on(self) -> None:
        readable = select.poll()
        readable.register(self._reader, select.POLLIN)
        while readable.poll():
            with self._lock:
                if self._drain():
                    os.close(self._reader)
                    self._reader = -1
                    return

    def _drain(self) -> bool:
        """Reads what is there. True at the end of it all."""
        while self._reader >= 0:
            try:
                printed = os.read(self._reader, 65536)
            except BlockingIOError:
                return False
            if not printed:
                return True
            self._text += printed
        return True
