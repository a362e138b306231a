"""Column labels out of a pickle, without unpickling it.

pandas keeps the names of a table's columns as a pickled list of tuples of text. A pickle is a program; this
reads the few instructions that make lists, tuples and texts as *data*, by the standard library's
disassembler, and refuses every other one, above all those that import or call.
"""

from __future__ import annotations

import pickletools
from typing import Any

TEXT = {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING"}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
PUT = {"PUT", "BINPUT", "LONG_BINPUT"}
GET = {"GET", "BINGET", "LONG_BINGET"}

_MARK = object()


def labels_from(pickled: bytes) -> list[tuple[str, ...]]:
    """The list of tuples of text that `pickled` describes. Raises `ValueError` where it is anything else."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for opcode, argument, _ in pickletools.genops(pickled):
        _step(opcode.name, argument, stack, memo)
    if len(stack) != 1 or not isinstance(stack[0], list):
        raise ValueError("its column names are not a list")
    labels = [label for label in stack[0] if isinstance(label, tuple) and all(isinstance(t, str) for t in label)]
    if len(labels) != len(stack[0]):
        raise ValueError("its column names are not tuples of text")
    return labels


def _step(name: str, argument: Any, stack: list[Any], memo: dict[int, Any]) -> None:
    if name in TEXT:
        stack.append(argument)
    elif name == "MARK":
        stack.append(_MARK)
    elif name in ("EMPTY_LIST", "EMPTY_TUPLE"):
        stack.append([] if name == "EMPTY_LIST" else ())
    elif name in ("LIST", "TUPLE"):
        items = _since_mark(stack)
        stack.append(tuple(items) if name == "TUPLE" else items)
    elif name in TUPLES:
        count = TUPLES[name]
        stack[-count:] = [tuple(stack[-count:])]
    elif name in ("APPEND", "APPENDS"):
        items = [stack.pop()] if name == "APPEND" else _since_mark(stack)
        if not isinstance(stack[-1], list):
            raise ValueError("its column names are not a list")
        stack[-1].extend(items)
    elif name in PUT:
        memo[argument] = stack[-1]
    elif name == "MEMOIZE":
        memo[len(memo)] = stack[-1]
    elif name in GET:
        stack.append(memo[argument])
    elif name not in ("PROTO", "FRAME", "STOP"):
        raise ValueError(f"its column names are kept as a program ({name}), which is not run")


def _since_mark(stack: list[Any]) -> list[Any]:
    """Pop what was pushed since the last mark, and the mark."""
    items: list[Any] = []
    while (item := stack.pop()) is not _MARK:
        items.append(item)
    return items[::-1]
