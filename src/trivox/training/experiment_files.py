"""Experiments as YAML files: read with the line of every fault, changed by `--override key=value`, written whole."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from trivox.errors import InputError
from trivox.files.reference_configs import is_reference_config
from trivox.files.text import parse_yaml, read_text
from trivox.training import config as options
from trivox.training.config import Experiment
from trivox.training.reference_experiments import translated

_ADAPTER: TypeAdapter[Experiment] = TypeAdapter(Experiment)
_LARGEST_FILE = 1_000_000

Place = tuple[str | int, ...]
"""Keys from the top of a file down to a value."""


def load_experiment(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """The experiment in a file of ours or of the published system, with `overrides` ("optimizer.lr=1e-4") applied.

    Raises `InputError` that names file, line, key and the nearest right key.
    """
    content, lines = _read(path)
    if is_reference_config(content):
        return _validated(translated(path), {}, path, overrides)
    return _validated(content, lines, path, overrides)


def _validated(content: Any, lines: dict[Place, int], path: Path, overrides: Sequence[str]) -> Experiment:
    """The experiment in plain data, of which `lines` tells where each value stands in the file at `path`."""
    sources = {place: f"{path}, line {line}" for place, line in lines.items()}
    for override in overrides:
        _override(content, override, sources)
    _complete_evaluation(content)
    try:
        return _ADAPTER.validate_python(content)
    except ValidationError as error:
        fault = _most_telling(error)
        raise InputError(_sentence(fault, content, sources, path)) from error


def _complete_evaluation(content: dict[str, Any]) -> None:
    """Held-out data without a kind of their own are the test part of the table that is trained on."""
    data, evaluation = content.get("data"), content.get("evaluation")
    if not isinstance(data, dict) or not isinstance(evaluation, dict) or data.get("kind") != "labels":
        return
    own = evaluation.get("data") or {}
    if isinstance(own, dict) and "kind" not in own:
        # What belongs to the rows of the training part alone is not passed on.
        shared = {key: value for key, value in data.items() if key not in ("kept", "centres", "every")}
        evaluation["data"] = {**shared, "part": "test", **own}


def written(experiment: Experiment) -> str:
    """The whole experiment as YAML, defaults included; `load_experiment` reads it back."""
    plain = _ADAPTER.dump_python(experiment, mode="json")
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)


def plain(experiment: Experiment) -> dict[str, Any]:
    """The experiment as JSON has it."""
    return _ADAPTER.dump_python(experiment, mode="json")


def changed_keys(old: Any, new: Any, place: str = "") -> list[str]:
    """Dotted keys whose values differ between two experiments in plain form."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [key for key in {**old, **new}]
        return [name for key in keys for name in changed_keys(old.get(key), new.get(key), f"{place}.{key}".strip("."))]
    return [] if old == new else [place]


def _read(path: Path) -> tuple[dict[str, Any], dict[Place, int]]:
    content, node = parse_yaml(read_text(path, _LARGEST_FILE), str(path))
    if not isinstance(content, dict) or node is None:
        raise InputError(f"{path} holds no settings; begin with one of experiments/*.yaml")
    lines: dict[Place, int] = {}
    _collect(node, (), lines)
    _refuse_twins(node, path)
    return _numbers(content), lines


def _collect(node: yaml.Node, place: Place, lines: dict[Place, int]) -> None:
    """The line of every value; that of a key where there is one."""
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            lines[*place, key.value] = key.start_mark.line + 1
            _collect(value, (*place, key.value), lines)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            _collect(value, (*place, i), lines)


def _refuse_twins(node: yaml.Node, path: Path) -> None:
    """YAML lets the last of two equal keys win without a word."""
    if not isinstance(node, yaml.MappingNode):
        return
    seen: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if key.value in seen:
            raise InputError(f"{path}, line {line}: {key.value} stands in line {seen[key.value]} too; remove one")
        seen[key.value] = line
        _refuse_twins(value, path)


def _numbers(value: Any) -> Any:
    """YAML 1.1 takes 1e-5 for text: what is a number to everybody is one here."""
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    if isinstance(value, str) and value[:1] in "+-.0123456789" and "e" in value.lower():
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _override(content: dict[str, Any], override: str, sources: dict[Place, str]) -> None:
    name, equals, text = override.partition("=")
    keys = tuple(name.strip().split("."))
    if not equals or not all(keys):
        raise InputError(f"--override {override!r} is no key=value; write it as optimizer.lr=1e-4")
    value = _numbers(parse_yaml(text, f"the value of --override {override}")[0])
    here = content
    for key in keys[:-1]:
        below = here.get(key)
        if below is None:
            below = here[key] = {}
        if not isinstance(below, dict):
            raise InputError(f"--override {override}: {key} is a value, with nothing below it; leave out what follows")
        here = below
    here[keys[-1]] = value
    for place in [place for place in sources if place[: len(keys)] == keys]:
        del sources[place]
    sources[keys] = f"--override {override}"


def _most_telling(error: ValidationError) -> Any:
    """An unknown key comes first: it is often why another one is missing."""
    faults = error.errors(include_url=False)
    return min(faults, key=lambda fault: fault["type"] not in ("extra_forbidden", "unexpected_keyword_argument"))


def _sentence(fault: Any, content: Any, sources: dict[Place, str], path: Path) -> str:
    place = _place(fault["loc"], content)
    key = ".".join(map(str, place)) or "the experiment"
    if fault["type"] == "unfit":
        place = (*place, fault["ctx"]["key"])
    where = next((sources[place[:n]] for n in range(len(place), -1, -1) if place[:n] in sources), str(path))
    match fault["type"]:
        case "unfit":
            return f"{where}: {fault['msg']}"
        case "extra_forbidden" | "unexpected_keyword_argument":
            return f"{where}: there is no {key}; {_nearest(str(place[-1]), place[:-1], content)}"
        case "missing" | "missing_argument":
            return f"{where}: {key} is missing; add it"
        case "union_tag_invalid" | "union_tag_not_found":
            known = fault["ctx"].get("expected_tags", "")
            tag = fault["ctx"]["discriminator"].strip("'")
            return f"{where}: {key}.{tag} says which kind it is, and has to be one of {known}; correct it"
    given = str(fault["input"])
    return f"{where}: {key} is {given[:60]!r}, but {fault['msg'][0].lower()}{fault['msg'][1:]}; correct it"


def _place(loc: tuple[str | int, ...], content: Any) -> Place:
    """pydantic's place without the names of kinds it passes through, which are no keys of the file."""
    place: list[str | int] = []
    here = content
    for i, step in enumerate(loc):
        is_last = i == len(loc) - 1
        if isinstance(here, dict) and step in here:
            here = here[step]
            place.append(step)
        elif isinstance(here, list) and isinstance(step, int):
            here = here[step] if step < len(here) else None
            place.append(step)
        elif is_last or not _is_kind(here, step):
            place.append(step)
            here = None
    return tuple(place)


def _is_kind(here: Any, step: str | int) -> bool:
    return isinstance(here, dict) and step in here.values()


def _nearest(key: str, place: Place, content: Any) -> str:
    known = _keys_at(place, content)
    near = difflib.get_close_matches(key, known, 1, 0.5)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"


def _keys_at(place: Place, content: Any) -> list[str]:
    """Keys that the experiment knows at a place of the file."""
    kind: Any = Experiment
    here = content
    for step in place:
        here = here.get(step) if isinstance(here, dict) else None
        kind = _kind_of(_types(kind).get(str(step)), here)
    return list(_types(kind))


def _types(kind: Any) -> dict[str, Any]:
    if not is_dataclass(kind):
        return {}
    hints = get_type_hints(kind, dict(vars(options)))
    return {f.name: hints[f.name] for f in fields(kind)}


def _kind_of(annotation: Any, here: Any) -> Any:
    """The dataclass that a value is read as, among those an annotation allows."""
    if is_dataclass(annotation) or annotation is None:
        return annotation
    for choice in get_args(annotation):
        known = _kind_of(choice, here)
        if is_dataclass(known):
            tags = {f.default for f in fields(known) if f.name in ("kind", "method")}
            said = {here.get("kind"), here.get("method")} if isinstance(here, dict) else set()
            if not tags or tags & said:
                return known
    return None
