"""The one exception that means "the user can mend this"."""

import difflib
from collections.abc import Iterable


class SapgganError(Exception):
    """A problem with the user's input or machine, in one sentence: what is wrong, where, and what to do.

    The `sapggan` command prints the message alone and exits with 1; anything else is a bug and shows a traceback.
    """


def near_match(word: str, known: Iterable[str]) -> str:
    """`did you mean "x"?`, or the list of known words when nothing is near."""
    known = sorted(known)
    match = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f'did you mean "{match[0]}"?' if match else f"known: {', '.join(known)}"


def first_line(error: Exception) -> str:
    """What went wrong, in a line; dynamo's first line only names the backend that "raised:" the next."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return " ".join(lines[:2]) if lines[0].endswith("raised:") else lines[0]
