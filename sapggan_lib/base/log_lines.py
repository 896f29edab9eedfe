"""Progress in a log."""

import sys

from tqdm import tqdm


class LogLines(tqdm):
    """A tqdm that prints `description: done/total unit, rate, time left` every `every` seconds.

    Each on a line of its own, and none for work that is shorter.
    """

    def __init__(self, total: int, description: str, unit: str = "images", every: float = 10.0, disable: bool = False):
        line = "{desc}: {n_fmt}/{total_fmt}{unit}, {rate_noinv_fmt}, {remaining} left{postfix}"
        super().__init__(
            total=total, desc=description, unit=f" {unit}", bar_format=line, mininterval=every, delay=every, miniters=1,
            smoothing=0, leave=False, disable=disable,
        )  # fmt: skip

    def update(self, n: float | None = 1) -> bool | None:
        return super().update(min(n or 0, (self.total or 0) - self.n))  # a training's last batch goes beyond its end

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        if msg is None:                                              # tqdm clears a bar by an empty message
            print(self, file=sys.stderr, flush=True)

    def set_postfix_str(self, s: str = "", refresh: bool = False) -> None:
        super().set_postfix_str(s, refresh)

    def close(self) -> None:
        if not self.disable and self.format_dict["elapsed"] >= self.delay:
            self.refresh()
        super().close()
