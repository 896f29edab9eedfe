"""Reading a pickle of arrays and plain values without running anything that it says."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from sapggan_lib.errors import SapgganError


class _Dtype:
    """Stands in for `numpy.dtype`: a name and a byte order are all that a pickle may choose."""

    def __init__(self, name: str, *_: Any):
        kind = np.dtype(str(name))
        if kind.kind not in "biuf":
            raise pickle.UnpicklingError(f"arrays of {name!r}")
        self.kind = kind

    def __setstate__(self, state: tuple) -> None:
        if state[1] in ("<", ">"):
            self.kind = self.kind.newbyteorder(state[1])


class _Array:
    """Stands in for `numpy.ndarray` while loading, so that no state from the file reaches numpy's C code."""

    def __init__(self, *_: Any):
        self.array = np.zeros(0, np.uint8)

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, data = state
        self.array = _frombuffer(data, dtype, shape, "F" if fortran else "C").array


def _frombuffer(data: Any, dtype: _Dtype, shape: tuple, order: str) -> _Array:
    result = _Array()
    result.array = np.frombuffer(data, dtype.kind).reshape(shape, order="F" if order == "F" else "C")
    return result


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("_codecs", "encode"): _latin1,
} | {
    (f"numpy.{core}.{module}", name): stand_in
    for core in ("core", "_core")
    for module, name, stand_in in (("multiarray", "_reconstruct", _Array), ("numeric", "_frombuffer", _frombuffer))
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name}") from None


def load_pickle(path: Path | str) -> Any:
    """Load arrays, lists, tuples, dictionaries, text and numbers; refuse everything else before it can act.

    Raises `SapgganError`. Reads pickles of protocols 0 to 5, made with numpy 1 or 2.
    """
    try:
        with Path(path).open("rb") as stream:
            return _unwrap(_Unpickler(stream).load())
    except FileNotFoundError:
        raise
    except MemoryError:
        raise SapgganError(f"{path}: needs more memory than there is; make the store with --format npy") from None
    except Exception as error:
        raise SapgganError(f"{path}: refused, this pickle holds more than arrays and plain values, or is damaged "
                           f"({error}); only pickles of numpy arrays are read") from None


def _unwrap(value: Any) -> Any:
    if isinstance(value, _Array):
        return value.array
    if isinstance(value, dict):
        return {_unwrap(key): _unwrap(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_unwrap(item) for item in value)
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return value
    raise pickle.UnpicklingError(type(value).__name__)
