"""Ctrl-C and SIGTERM as a question that a loop can ask between two steps."""

import signal
import threading
from typing import Any, Self


class Interrupt:
    """While active, the first Ctrl-C or SIGTERM is only remembered, for whoever calls this; a second one stops at once.

    Python allows signal handlers in the main thread alone; in another one nothing is caught.
    """

    def __init__(self) -> None:
        self.wanted = False
        self.before: dict[int, Any] = {}

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.wanted

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self.remember)
        return self

    def remember(self, *_: object) -> None:
        self.wanted = True
        self.__exit__()

    def __exit__(self, *exception: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
