"""Reading a pickle of arrays and plain values without running anything that it says.

Python's own unpickler would take memory for what a file announces (9 bytes ask for 512 MB) and lets a file set
attributes of the functions that it may call. So the few opcodes that arrays need are followed here, one by one.
"""

import mmap
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np

from sapggan_lib.base.errors import SapgganError

PLAIN = (str, bytes, bool, int, float, type(None))


class _Dtype:
    """Stands in for `numpy.dtype`: a name and a byte order are all that a pickle may choose."""

    def __init__(self, name: str, *_: Any):
        self.kind = np.dtype(str(name))
        if self.kind.kind not in "biuf":
            raise pickle.UnpicklingError(f"arrays of {name!r}")

    def build(self, state: tuple) -> None:
        if state[1] in ("<", ">"):
            self.kind = self.kind.newbyteorder(state[1])


class _Array:
    """Stands in for `numpy.ndarray` while loading, so that no state from the file reaches numpy's C code."""

    def __init__(self, *_: Any):
        self.array = np.zeros(0, np.uint8)

    def build(self, state: tuple) -> None:
        _, shape, dtype, fortran, data = state
        self.array = _frombuffer(data, dtype, shape, "F" if fortran else "C").array


def _frombuffer(data: Any, dtype: _Dtype, shape: tuple, order: str) -> _Array:
    result = _Array()
    result.array = np.frombuffer(data, dtype.kind).reshape(shape, order="F" if order == "F" else "C")
    return result


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    return text.encode("latin1")


ALLOWED: dict[str, Any] = {"numpy dtype": _Dtype, "numpy ndarray": _Array, "_codecs encode": _latin1} | {
    f"numpy.{core}.{name}": stand_in
    for core in ("core", "_core")
    for name, stand_in in (("multiarray _reconstruct", _Array), ("numeric _frombuffer", _frombuffer))
}


class _Global(str):
    """A name of `ALLOWED` on the stack."""


def load_pickle(path: Path | str) -> Any:
    """Load arrays, lists, tuples, dictionaries, text and numbers; refuse everything else before it can act.

    Raises `SapgganError`. Reads pickles of protocols 0 to 5, made with numpy 1 or 2, in memory of the file's order.
    """
    try:
        # Mapped: a read beyond the end is short at once, without memory for the length that the file announces.
        with Path(path).open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            return _finish(_load(mapped), {})
    except FileNotFoundError:
        raise
    except MemoryError:
        raise SapgganError(f"{path}: needs more memory than there is; make the store with --format npy") from None
    except Exception as error:
        raise SapgganError(f"{path}: refused, this pickle holds more than arrays and plain values, or is damaged "
                           f"({error}); only pickles of numpy arrays are read") from None


def _load(stream: Any) -> Any:
    """The value of a pickle (an `mmap.mmap`), with `_Array` for arrays."""
    stack: list[Any] = []
    marks: list[int] = []           # lengths of the stack
    memo: dict[int, Any] = {}
    encoded = 0
    argument: Any

    def items() -> list[Any]:
        start = marks.pop()
        found = stack[start:]
        del stack[start:]
        return found

    for opcode, argument, _ in pickletools.genops(stream):
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop()
            case "MARK":
                marks.append(len(stack))
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(opcode.name == "NEWTRUE")
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "EMPTY_LIST" | "EMPTY_TUPLE" | "EMPTY_DICT":
                stack.append({"EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict}[opcode.name]())
            case "LIST":
                stack.append(items())
            case "TUPLE":
                stack.append(tuple(items()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(opcode.name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "DICT":
                stack.append(_fill({}, items()))
            case "APPEND" | "APPENDS":
                found = items() if opcode.name == "APPENDS" else [stack.pop()]
                list.extend(stack[-1], found)
            case "SETITEM" | "SETITEMS":
                found = items() if opcode.name == "SETITEMS" else [stack.pop(-2), stack.pop()]
                _fill(stack[-1], found)
            case "GLOBAL" | "STACK_GLOBAL":
                if opcode.name == "STACK_GLOBAL":
                    name = stack.pop()
                    argument = f"{stack.pop()} {name}"
                if argument not in ALLOWED:
                    raise pickle.UnpicklingError(argument.replace(" ", "."))
                stack.append(_Global(argument))
            case "REDUCE":
                arguments = stack.pop()
                called = stack.pop()
                if not isinstance(called, _Global):
                    raise pickle.UnpicklingError("a call of what is no function")
                stack.append(ALLOWED[called](*arguments))
                encoded += len(stack[-1]) if isinstance(stack[-1], bytes) else 0
                if encoded > len(stream):       # one text, encoded again and again
                    raise pickle.UnpicklingError("more bytes than the file has")
            case "BUILD":
                state = stack.pop()
                stack[-1].build(state)
            case _ if opcode.arg and opcode.stack_after not in ([], [pickletools.anyobject]):
                stack.append(argument)          # a number, text or bytes
            case name:
                raise pickle.UnpicklingError(f"opcode {name}")


def _fill(target: dict, items: list[Any]) -> dict:
    for key, value in zip(items[::2], items[1::2], strict=True):
        if type(key) not in PLAIN:              # to hash tuples of tuples of ... may take for ever
            raise pickle.UnpicklingError(f"a dictionary's key of type {type(key).__name__}")
        dict.__setitem__(target, key, value)
    return target


def _finish(value: Any, done: dict[int, Any]) -> Any:
    """`value` with arrays in place of their stand-ins; what stands in several places is done once."""
    if id(value) in done:
        return done[id(value)]
    if isinstance(value, _Array):
        result: Any = value.array
    elif isinstance(value, dict):
        result = {key: _finish(item, done) for key, item in value.items()}
    elif isinstance(value, (list, tuple)):
        result = type(value)(_finish(item, done) for item in value)
    elif type(value) in PLAIN:
        return value
    else:
        raise pickle.UnpicklingError(type(value).__name__)
    done[id(value)] = result
    return result
