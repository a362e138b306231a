"""Pickles of strangers, read as data: NumPy arrays and plain containers, nothing else, and nothing is executed.

A pickle is a program for a small stack machine. This is such a machine without its dangerous half: it has no way to
import, to call or to touch an attribute. It takes the instructions apart with the standard library's disassembler,
and makes None, bool, int, float, str, bytes, tuple, list, dict, set, frozenset, `defaultdict`, `OrderedDict` and
NumPy arrays and scalars (`pickled_arrays.py`), as written by NumPy 1 and 2 and by Python 2 and 3. Everything else is
refused by name.

Memory is bounded by the file: whole numbers have 64 bits, an array needs the bytes it claims, instructions are
counted. What comes out is safe to walk through: it holds no circles, is at most 64 containers deep and, containers
that occur in several places counted each time, has at most ten million members.
"""

from __future__ import annotations

import io
import pickletools
import tokenize
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from trivox.base.reading import read_bytes
from trivox.errors import InputError
from trivox.files import pickled_arrays
from trivox.files.pickled_arrays import Building

_BYTES = 2**31
_INSTRUCTIONS = 4_000_000
_MEMBERS = 10_000_000
_DEPTH = 64
_PROTOCOLS = range(6)

_EXPECTED = "NumPy arrays and plain containers, so write the data again as these"

# What a broken or false pickle makes of the disassembler, of Python's containers and of NumPy.
_BROKEN = (ValueError, TypeError, LookupError, OverflowError, MemoryError, RecursionError, SyntaxError)
_BROKEN += (tokenize.TokenError,)  # NumPy takes heads of Python 2 to pieces

_MARK = object()

# Instructions that push their own argument.
_VALUES = {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "FLOAT", "BINFLOAT"}
_VALUES |= {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"}
_VALUES |= {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING"}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set}
_SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUT = {"PUT", "BINPUT", "LONG_BINPUT"}
_GET = {"GET", "BINGET", "LONG_BINGET"}

_Container = list | dict | set | frozenset | tuple
_SCALARS = (type(None), bool, int, float, str, bytes, np.generic)


def load_pickle(path: Path) -> Any:
    """The data of a pickle file. Raises `InputError` for anything that is not plain data."""
    try:
        return unpickled(read_bytes(path, _BYTES))
    except ValueError as error:
        raise InputError(f"{path} is not read: {error}; expected a pickle of {_EXPECTED}") from error


def load_npy(path: Path) -> Any:
    """The array of a .npy file, or the object (a dict, say) that `numpy.save` has wrapped in one.

    Arrays of objects may hold plain containers only, as in `load_pickle`. Raises `InputError`.
    """
    data = read_bytes(path, _BYTES)
    try:
        array = _array_of_npy(io.BytesIO(data), len(data))
    except _BROKEN as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]  # NumPy goes on with advice
        raise InputError(f"{path} is not read: {reason}; expected a .npy file of {_EXPECTED}") from error
    return array.item() if array.dtype == np.dtype(object) and array.ndim == 0 else array


def unpickled(pickled: bytes) -> Any:
    """The plain data that `pickled` describes. Raises `ValueError` where it is anything else."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in texts, which concern nobody
            return _run(pickled)
    except _BROKEN as error:
        raise ValueError(f"it is no pickle of plain data ({str(error) or type(error).__name__})") from error


def _array_of_npy(file: io.BytesIO, length: int) -> np.ndarray:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(file)
    if version not in readers:
        raise ValueError(f"its version {version} is not known")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # headers of Python 2 are taken as they are
        shape, fortran, dtype = readers[version](file)
    if dtype != np.dtype(object):
        order = "F" if fortran else "C"
        return pickled_arrays.array_of_buffer((file.read(length), dtype, shape, order))
    array = unpickled(file.read(length))
    if not isinstance(array, np.ndarray) or array.dtype != np.dtype(object) or array.shape != shape:
        raise ValueError("its header does not fit what it holds")
    return array


def _run(pickled: bytes) -> Any:
    machine, stop = _Machine(), -1
    for count, (opcode, argument, position) in enumerate(pickletools.genops(pickled)):
        if count >= _INSTRUCTIONS:
            raise ValueError("it has too many parts")
        machine.step(opcode.name, argument)
        stop = position or 0
    if stop + 1 != len(pickled):
        raise ValueError("bytes follow its end")
    return machine.result()


class _Machine:
    """The stack, the memo, and what is known of the containers made so far."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        # id -> (the container, so that its id stays its own; its depth; its members and theirs)
        self.known: dict[int, tuple[Any, int, int]] = {}
        self.closed: set[int] = set()
        # ids of tuples that hold names of functions or types: good for calls only
        self.arguments: set[int] = set()

    def result(self) -> Any:
        value = self.pop()
        if self.stack or self.is_of_call(value):
            raise ValueError("it ends with something other than one value")
        return value

    def step(self, name: str, argument: Any) -> None:
        if name in _VALUES:
            self.push(argument)
        elif name in _CONSTANTS:
            self.push(_CONSTANTS[name])
        elif name in _EMPTY:
            self.push(self.measured(_EMPTY[name](), []))
        elif name == "MARK":
            self.stack.append(_MARK)
        elif name in _PUT:
            self.memo[argument] = self.stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif name in _GET:
            self.stack.append(_finished(self.memo[argument]))
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            module, member = argument.split(" ", 1) if argument else (self.pop(), self.pop())[::-1]
            self.stack.append(_global(module, member))
        elif name == "REDUCE":
            arguments, function = self.pop(), self.stack.pop()
            self.stack.append(self.called(function, arguments))
        elif name == "BUILD":
            self.build(self.pop())
        elif name in ("PROTO", "FRAME", "STOP"):
            if name == "PROTO" and argument not in _PROTOCOLS:
                raise ValueError(f"its protocol {argument} is not known")
        else:
            self.fill(name)

    def fill(self, name: str) -> None:
        """Instructions that put values into containers."""
        if name in _SHORT_TUPLES:
            items = [self.pop() for _ in range(_SHORT_TUPLES[name])][::-1]
            self.stack.append(self.measured(tuple(items), items))
        elif name in ("TUPLE", "LIST", "FROZENSET"):
            items = self.since_mark()
            make = {"TUPLE": tuple, "LIST": list, "FROZENSET": _set_of}[name]
            made = frozenset(make(items)) if name == "FROZENSET" else make(items)
            self.stack.append(self.measured(made, items))
        elif name == "DICT":
            items = self.since_mark()
            self.stack.append(self.measured({}, []))
            self.extend(items, dict)
        elif name in ("APPEND", "APPENDS"):
            self.extend([self.pop()] if name == "APPEND" else self.since_mark(), list)
        elif name in ("SETITEM", "SETITEMS"):
            self.extend([self.pop(), self.pop()][::-1] if name == "SETITEM" else self.since_mark(), dict)
        elif name == "ADDITEMS":
            self.extend(self.since_mark(), set)
        else:
            raise ValueError(f"it is a program ({name}), which is not run")

    def push(self, value: Any) -> None:
        if isinstance(value, int) and not -(2**63) <= value < 2**64:
            raise ValueError("it has a number of more than 64 bits")
        self.stack.append(bytes(value) if isinstance(value, bytearray) else value)

    def pop(self) -> Any:
        """The topmost value, which has to be data."""
        return _finished(self.stack.pop(), needed=True)

    def since_mark(self) -> list[Any]:
        """Pop what was pushed since the last mark, and the mark."""
        items: list[Any] = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(_finished(item, needed=True))
        return items[::-1]

    def extend(self, items: list[Any], kind: type) -> None:
        """Put `items` into the container on top, which nothing else may hold yet: this way there are no circles."""
        container = self.stack[-1]
        if not isinstance(container, kind) or id(container) in self.closed:
            raise ValueError(f"it changes something that is no {kind.__name__}, or is complete")
        if isinstance(container, list):
            container.extend(items)
        elif isinstance(container, set):
            container.update(_set_of(items))
        else:
            container.update(zip(map(_key, items[::2]), items[1::2], strict=True))
        self.measured(container, items)

    def measured(self, container: Any, items: list[Any]) -> Any:
        """Count `items` as members of `container`, and let them change no more."""
        _, depth, size = self.known.get(id(container), (container, 1, 1))
        for item in items:
            if item is container:
                raise ValueError("a container holds itself")
            _, its_depth, its_size = self.known.get(id(item), (item, 0, 1))
            depth, size = max(depth, its_depth + 1), size + its_size
            if id(item) in self.known:
                self.closed.add(id(item))
            if self.is_of_call(item):
                if not isinstance(container, tuple):
                    raise ValueError("it keeps a function or type as if it were data")
                self.arguments.add(id(container))
        if depth > _DEPTH or size > _MEMBERS:
            raise ValueError("its containers are nested too deeply or hold too much")
        self.known[id(container)] = (container, depth, size)
        return container

    def is_of_call(self, value: Any) -> bool:
        return isinstance(value, _Global) or id(value) in self.arguments

    def called(self, function: Any, arguments: Any) -> Any:
        """What the few known calls would give."""
        if not isinstance(function, _Global) or function.call is None or not isinstance(arguments, tuple):
            raise ValueError("it calls something that is not a function")
        made = function.call(arguments)
        if isinstance(made, _Container):
            items = arguments[0] if arguments and isinstance(arguments[0], list) else []
            return self.measured(made, items)
        return made

    def build(self, state: Any) -> None:
        if not isinstance(begun := self.stack[-1], Building):
            raise ValueError("it sets the state of something that has none")
        begun.build(state)
        self.stack[-1] = begun.value
        if isinstance(state, tuple) and isinstance(state[-1], list):
            self.measured(begun.value, state[-1])  # an array of objects


class _Global:
    """A name that pickles of plain data use: a call that is understood, or a type that stands in another call."""

    def __init__(self, call: Callable[[tuple[Any, ...]], Any] | None = None, kind: type | None = None) -> None:
        self.call, self.kind = call, kind


def _finished(item: Any, needed: bool = False) -> Any:
    """The value of what has been built meanwhile; `needed` where only data will do."""
    if isinstance(item, Building) and item.finished:
        return item.value
    if needed and (item is _MARK or isinstance(item, Building)):
        raise ValueError("it uses an array before it is complete")
    return item


def _key(value: Any) -> Any:
    """A key must be quick to hash: a plain value or a tuple of plain values."""
    parts = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(part, _SCALARS) for part in parts):
        raise ValueError("a key is neither text nor number nor a tuple of these")
    return value


def _set_of(items: list[Any]) -> set[Any]:
    return {_key(item) for item in items}


def _made_set(arguments: tuple[Any, ...]) -> set[Any]:
    (items,) = arguments or ([],)
    return _set_of(_list(items))


def _made_defaultdict(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    """`defaultdict(list)`; its items follow."""
    (factory,) = arguments or (None,)
    if factory is not None and (not isinstance(factory, _Global) or factory.kind is None):
        raise ValueError("a defaultdict has a factory that is no container")
    return defaultdict(None if factory is None else factory.kind)


def _made_ordered(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    """`OrderedDict()`, whose items follow, or with the list of its items, as Python 2 wrote it."""
    (items,) = arguments or ([],)
    return OrderedDict((_key(key), value) for key, value in _list(items))


def _made_bytes(arguments: tuple[Any, ...]) -> bytes:
    """`_codecs.encode(text, "latin1")`: how Python 3 writes bytes for Python 2; `bytes()` where there are none."""
    text, encoding = arguments or ("", "latin1")
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError("its bytes are not written as Python does")
    return text.encode("latin-1")


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("a container is made of something that is no list")
    return value


_GLOBALS: dict[tuple[str, str], _Global] = {
    ("collections", "defaultdict"): _Global(_made_defaultdict),
    ("collections", "OrderedDict"): _Global(_made_ordered, OrderedDict),
    ("_codecs", "encode"): _Global(_made_bytes),
    ("numpy", "ndarray"): _Global(),
    ("numpy", "dtype"): _Global(pickled_arrays.begun_dtype),
}
for _builtins in ("builtins", "__builtin__"):
    _GLOBALS |= {(_builtins, kind.__name__): _Global(None, kind) for kind in (list, dict, int, float, str, tuple, bool)}
    _GLOBALS[_builtins, "set"] = _Global(_made_set, set)
    _GLOBALS[_builtins, "frozenset"] = _Global(lambda arguments: frozenset(_made_set(arguments)))
    _GLOBALS[_builtins, "bytes"] = _Global(_made_bytes)
for _core in ("numpy.core", "numpy._core"):  # NumPy 1 and 2
    _GLOBALS[f"{_core}.multiarray", "_reconstruct"] = _Global(pickled_arrays.begun_array)
    _GLOBALS[f"{_core}.multiarray", "scalar"] = _Global(pickled_arrays.scalar)
    _GLOBALS[f"{_core}.numeric", "_frombuffer"] = _Global(pickled_arrays.array_of_buffer)


def _global(module: Any, member: Any) -> _Global:
    if not isinstance(module, str) or not isinstance(member, str) or (module, member) not in _GLOBALS:
        raise ValueError(f"it asks for {module}.{member}, which is not data")
    return _GLOBALS[module, member]
