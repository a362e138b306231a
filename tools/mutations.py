"""Ways to damage a file, each by a random generator: bytes, numbers, values, parts of archives, other things."""

from __future__ import annotations

import io
import json
import os
import random
import re
import zipfile
from pathlib import Path
from typing import Any

EXTREME = (
    "1e308",
    "-1e308",
    "1e999",
    "NaN",
    "-1",
    "0",
    "9" * 30,
    "2" * 5000,
    "1e-320",
    '""',
    "null",
    "[]",
    "{}",
    "[[]]",
)
VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    2**63,
    2**70,
    1e308,
    float("nan"),
    "",
    "x" * 300,
    "a\0b",
    [],
    {},
    [[]],
    [None],
    {"": 1},
]


def turned(data: bytes, chance: random.Random) -> bytes:
    """Some bytes are others."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        if changed:
            changed[chance.randrange(len(changed))] = chance.choice((0, 1, 127, 128, 255, chance.randrange(256)))
    return bytes(changed)


def cut(data: bytes, chance: random.Random) -> bytes:
    """An end, a middle or nothing is left."""
    start, end = sorted((chance.randrange(len(data) + 1), chance.randrange(len(data) + 1)))
    return chance.choice((data[:end], data[start:], data[:start] + data[end:], b""))


def repeated(data: bytes, chance: random.Random) -> bytes:
    """A piece stands there many times."""
    start = chance.randrange(len(data) + 1)
    piece = data[start : start + chance.choice((1, 4, 40))]
    return data[:start] + piece * chance.choice((2, 100, 20_000)) + data[start:]


def extreme(data: bytes, chance: random.Random) -> bytes:
    """A number of a text is exchanged for one that nobody writes."""
    places = list(re.finditer(rb"-?[0-9]+(\.[0-9]+)?", data[:1_000_000]))
    if not places:
        return turned(data, chance)
    at = chance.choice(places)
    return data[: at.start()] + chance.choice(EXTREME).encode() + data[at.end() :]


def restructured(data: bytes, chance: random.Random) -> bytes:
    """A value of a JSON document is another one, or gone."""
    try:
        content = json.loads(data)
    except ValueError:
        return extreme(data, chance)
    holders: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        for key in keys:
            holders.append((value, key))
            walk(value[key])

    walk(content)
    if not holders:
        return json.dumps(chance.choice(VALUES)).encode()
    holder, key = chance.choice(holders)
    if chance.random() < 0.2:
        del holder[key]
    else:
        holder[key] = chance.choice(VALUES)
    return json.dumps(content).encode()


def rezipped(data: bytes, chance: random.Random) -> bytes:
    """A part of an archive is mutated, and the archive whole."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = {info.filename: archive.read(info) for info in archive.infolist()}
    except Exception:  # no archive, or one that another mutation broke: zipfile has many names for that
        return turned(data, chance)
    name = chance.choice(sorted(parts))
    parts[name] = chance.choice((turned, cut, repeated, extreme))(parts[name], chance)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return made.getvalue()


MUTATIONS = (turned, cut, repeated, extreme, restructured, rezipped)


def mutated(path: Path, chance: random.Random) -> str:
    """Change a file, or put something else in its place; what was done."""
    if chance.random() < 0.06:
        path.unlink()
        kind = chance.choice(("pipe", "device", "circle", "folder", "nothing", "link"))
        match kind:
            case "pipe":
                os.mkfifo(path)
            case "device":
                path.symlink_to(chance.choice(("/dev/zero", "/dev/random")))
            case "circle":
                path.symlink_to(path)
            case "folder":
                path.mkdir()
            case "link":
                path.symlink_to(path.parent / "nowhere")
        return kind
    done, data = [], path.read_bytes()
    for _ in range(chance.choice((1, 1, 1, 2))):
        mutation = chance.choice(MUTATIONS)
        data = mutation(data, chance)
        done.append(mutation.__name__)
    path.write_bytes(data)
    return " + ".join(done)
