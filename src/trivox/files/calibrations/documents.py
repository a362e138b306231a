"""Open a calibration file by what it contains: JSON, TOML, XML, or OpenCV's FileStorage (YAML or XML).

OpenCV's YAML begins with `%YAML:1.0`, which is no YAML, and tags its matrices; both are understood here
without OpenCV, whose own parser is not made for files from strangers. All YAML and XML scalars stay texts (a
camera called 01 keeps its zero); `Table` turns them into numbers where numbers are asked for. Nothing is
executed, no reference to another file is followed, and names given twice are refused, because one of the two
would be lost.
"""

from __future__ import annotations

import codecs
import json
import re
import tomllib
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from trivox.base.reading import read_bytes
from trivox.errors import InputError
from trivox.files.text import GuardedYaml

Kind = Literal["json", "toml", "xml", "storage"]

_LARGEST_BYTES = 64 * 2**20
_STORAGE_SUFFIXES = (".yml", ".yaml", ".xml")
_TOML_HEADER = re.compile(r"\[\[?\s*[\w.\"'-]+\s*\]\]?\s*(#.*)?$")
_YAML_START = re.compile(r"(%YAML|---|[\w\"'-]+\s*:(\s|$))")


@dataclass(frozen=True)
class Document:
    """A parsed file: nested dicts and lists, or for "xml" the root element. `notes` say what was skipped."""

    path: Path
    kind: Kind
    content: Any
    notes: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        return str(self.path)

    def error(self, said: str) -> InputError:
        return InputError(f"{self.path}: {said}")


def read_document(path: Path) -> Document:
    """Parse the file at `path`; a folder is EasyMocap's pair of files or OpenCV files, one a camera.

    Raises `InputError` where there is nothing, nothing readable, or nothing that parses.
    """
    if path.is_dir():
        return _read_folder(path)
    data = read_bytes(path, _LARGEST_BYTES).removeprefix(codecs.BOM_UTF8)
    if data.lstrip()[:1] == b"<":
        return _parse_xml(path, data)
    try:
        text = data.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file; a calibration is expected here") from error
    if not text:
        raise InputError(f"{path} is empty; a calibration is expected here")
    kind = _kind_of(text, path.suffix.lower())
    parse = {"json": _parse_json, "toml": tomllib.loads, "storage": _parse_yaml}[kind]
    try:
        return Document(path, kind, parse(text))
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        name = {"json": "JSON", "toml": "TOML", "storage": "OpenCV YAML"}[kind]
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path} is not readable as {name} ({reason}); repair or export it again") from error


def _read_folder(path: Path) -> Document:
    if (path / "intri.yml").is_file():
        return read_document(path / "intri.yml")
    files, skipped = _storage_files(path)
    if not files:
        raise InputError(
            f"{path} is a folder without calibration; give a calibration file, EasyMocap's folder with "
            "intri.yml and extri.yml, or a folder of OpenCV .yml or .xml files, one a camera"
        )
    documents, faults = _storage_documents(files)
    shapes = {_shape(document.path) for document in documents}
    for file, fault in faults.items():
        if not documents or _shape(file) in shapes or _has_marks(file):
            raise fault
    skipped["no OpenCV file of a camera"] = [file.name for file in faults]
    notes = tuple(f"{path}: skipped {_listed(names)} ({why})" for why, names in skipped.items() if names)
    cameras = [{"name": document.path.stem, **document.content} for document in documents]
    return Document(path, "storage", {"cameras": cameras}, notes)


def _storage_files(folder: Path) -> tuple[list[Path], dict[str, list[str]]]:
    """Files named like OpenCV's, and the names of what is none by the reason."""
    try:
        entries = sorted(entry for entry in folder.iterdir() if entry.suffix.lower() in _STORAGE_SUFFIXES)
        hidden = [entry for entry in entries if entry.name.startswith(".")]
        folders = [entry for entry in entries if entry.is_dir() and entry not in hidden]
    except OSError as error:
        raise InputError(f"cannot read the folder {folder}: {error.strerror}; check the path") from error
    skipped = {"hidden": [entry.name for entry in hidden], "a folder": [entry.name for entry in folders]}
    return [entry for entry in entries if entry not in hidden and entry not in folders], skipped


def _storage_documents(files: list[Path]) -> tuple[list[Document], dict[Path, InputError]]:
    """OpenCV's files among these, and what is wrong with the others."""
    documents: list[Document] = []
    faults: dict[Path, InputError] = {}
    for file in files:
        try:
            document = read_document(file)
        except InputError as error:
            faults[file] = error
            continue
        if document.kind == "storage" and isinstance(document.content, dict):
            documents.append(document)
        else:
            faults[file] = document.error("not an OpenCV file; the folder may hold only OpenCV files, one a camera")
    return documents, faults


def _shape(path: Path) -> str:
    """What names of files that are numbered have in common."""
    return re.sub(r"\d+", "#", path.stem.casefold())


def _has_marks(path: Path) -> bool:
    """Whether a file that could not be read began as one of OpenCV's, or was never written."""
    data = read_bytes(path, _LARGEST_BYTES)
    return not data.strip() or b"%YAML" in data or b"opencv" in data or b"camera_matrix" in data.lower()


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _kind_of(text: str, suffix: str) -> Kind:
    """By the first characters; a suffix decides only where they cannot."""
    first_line = text.splitlines()[0].rstrip()
    if text[0] == "{":
        return "json"
    if text[0] == "[":
        return "toml" if _TOML_HEADER.match(first_line) else "json"
    return "storage" if suffix in _STORAGE_SUFFIXES or _YAML_START.match(first_line) else "toml"


def _parse_json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)!r} stands twice")
    return result


class _StorageLoader(GuardedYaml, yaml.BaseLoader):
    """YAML with plain texts as scalars and OpenCV's matrices as nested lists.

    The loader in C would be faster, but a deeply nested file ends the whole program there.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        _unique([(name, None) for name in names])
        return super().construct_mapping(node, deep=deep)


def _construct_matrix(loader: _StorageLoader, node: yaml.Node) -> list[Any]:
    if not isinstance(node, yaml.MappingNode):
        raise ValueError("an opencv-matrix must have rows, cols and data")
    return _matrix(loader.construct_mapping(node, deep=True))


_StorageLoader.add_constructor("tag:yaml.org,2002:opencv-matrix", _construct_matrix)


def _parse_yaml(text: str) -> Any:
    lines = text.split("\n", 1)
    body = lines[1] if lines[0].startswith("%YAML") and len(lines) == 2 else text
    return yaml.load(body, Loader=_StorageLoader)  # noqa: S506  # a BaseLoader: texts, lists and dicts only


def _parse_xml(path: Path, data: bytes) -> Document:
    try:
        if b"<!" in re.sub(rb"<!--.*?-->|<!\[CDATA\[", b"", data, flags=re.DOTALL):
            raise ValueError("a document type is declared, which a calibration never needs")
        root = ET.fromstring(data)
        if root.tag == "opencv_storage":
            return Document(path, "storage", _from_xml(root))
        return Document(path, "xml", root)
    except (ET.ParseError, ValueError, LookupError, RecursionError) as error:
        raise InputError(f"{path} is not readable as XML ({error}); repair or export it again") from error


def _from_xml(element: ET.Element) -> Any:
    """FileStorage's XML as nested lists and dicts of texts."""
    children = list(element)
    if not children:
        text = (element.text or "").strip()
        if text.startswith('"') and text.endswith('"') and len(text) > 1:
            return text[1:-1]
        tokens = text.split()
        return tokens if len(tokens) > 1 else text
    if all(child.tag == "_" for child in children):
        return [_from_xml(child) for child in children]
    content = _unique([(child.tag, _from_xml(child)) for child in children])
    return _matrix(content) if element.get("type_id") == "opencv-matrix" else content


def _matrix(content: dict[Any, Any]) -> list[Any]:
    """rows x cols nested lists of an opencv-matrix; raises ValueError where they do not fit."""
    if not {"rows", "cols", "data"} <= content.keys():
        raise ValueError("an opencv-matrix must have rows, cols and data")
    data = content["data"] if isinstance(content["data"], list) else [content["data"]]
    try:
        rows, cols = int(content["rows"]), int(content["cols"])
    except TypeError as error:
        raise ValueError("rows and cols of an opencv-matrix must be numbers") from error
    if rows == cols == 0 and data in ([], [""]):
        return []
    if rows < 1 or cols < 1 or rows * cols != len(data):
        raise ValueError(f"an opencv-matrix of {rows} x {cols} holds {len(data)} numbers")
    return [data[row * cols : (row + 1) * cols] for row in range(rows)]
