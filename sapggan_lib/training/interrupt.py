"""Ctrl-C and SIGTERM as a question that a loop can ask between two steps."""

import contextlib
import signal
import threading
from typing import Self


class Interrupt(contextlib.ExitStack):
    """While active, the first Ctrl-C or SIGTERM is only remembered, for whoever calls this; a second one stops at once.

    Python allows signal handlers in the main thread alone; in another one nothing is caught.
    """

    wanted = False

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.wanted

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.callback(signal.signal, number, signal.signal(number, self.remember))
        return self

    def remember(self, *_: object) -> None:
        self.wanted = True
        self.close()
