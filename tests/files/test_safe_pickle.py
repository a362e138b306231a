"""Plain data comes out of a pickle as the stock unpickler would give it; nothing else comes out, and nothing runs."""

from __future__ import annotations

import os
import pickle
import struct
import sys
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trivox.errors import InputError
from trivox.files.safe_pickle import load_npy, load_pickle, unpickled


def _objects(items: list[Any]) -> np.ndarray:
    array = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        array[i] = item
    return array


PROTOCOLS = range(6)

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=20)
)
keys = scalars | st.tuples(scalars, scalars)
dtypes = st.one_of(
    *(hnp.boolean_dtypes(), hnp.integer_dtypes(endianness="?"), hnp.unsigned_integer_dtypes(endianness="?")),
    *(hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)), hnp.complex_number_dtypes(sizes=(64, 128))),
    *(hnp.byte_string_dtypes(min_len=1), hnp.unicode_string_dtypes(endianness="?", min_len=1)),
)
rows = st.dictionaries(
    st.text("abc", min_size=1), st.tuples(dtypes, hnp.array_shapes(max_dims=2, max_side=3)), min_size=1
)
tables = rows.map(lambda fields: np.dtype([(name, dtype, shape) for name, (dtype, shape) in fields.items()]))
arrays = hnp.arrays(dtypes | tables, hnp.array_shapes(min_dims=0, min_side=0, max_side=3))
values = st.recursive(
    scalars | arrays,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(keys, inner, max_size=4)
        | st.tuples(inner, inner)
        | st.lists(inner, max_size=3).map(_objects)
        | st.dictionaries(keys, inner, max_size=3).map(OrderedDict)
        | st.dictionaries(keys, inner, max_size=3).map(lambda items: defaultdict(list, items))
        | st.sets(keys, max_size=4)
        | st.frozensets(keys, max_size=4)
    ),
    max_leaves=12,
)


def assert_same(ours: Any, theirs: Any) -> None:
    assert type(ours) is type(theirs)
    if isinstance(ours, np.ndarray):
        # The stock unpickler turns some arrays of the other byte order into the machine's own.
        native = theirs.dtype.newbyteorder("=")
        assert ours.dtype.newbyteorder("=") == native and ours.shape == theirs.shape and ours.flags.writeable
        if ours.dtype == object:
            for mine, its in zip(ours.flat, theirs.flat, strict=True):
                assert_same(mine, its)
        else:
            assert ours.astype(native).tobytes() == theirs.astype(native).tobytes()
    elif isinstance(ours, dict):
        assert len(ours) == len(theirs)
        for (key, value), (its_key, its_value) in zip(ours.items(), theirs.items(), strict=True):
            assert_same(key, its_key)
            assert_same(value, its_value)
        assert getattr(ours, "default_factory", None) == getattr(theirs, "default_factory", None)
    elif isinstance(ours, list | tuple):
        for mine, its in zip(ours, theirs, strict=True):
            assert_same(mine, its)
    elif isinstance(ours, set | frozenset):
        assert sorted(map(repr, ours)) == sorted(map(repr, theirs))
    else:
        assert repr(ours) == repr(theirs)


@given(values, st.sampled_from(PROTOCOLS))
@settings(max_examples=300)
def test_plain_data_is_what_the_stock_unpickler_gives(value: Any, protocol: int) -> None:
    pickled = pickle.dumps(value, protocol)
    assert_same(unpickled(pickled), pickle.loads(pickled))


@given(arrays, st.sampled_from(PROTOCOLS))
def test_fortran_order_and_shared_parts(array: np.ndarray, protocol: int) -> None:
    twisted = [array.T, array, array, (array,), np.float64(1.5), np.int64(3)]
    assert_same(unpickled(pickle.dumps(twisted, protocol)), pickle.loads(pickle.dumps(twisted, protocol)))


@pytest.mark.parametrize("old", ["numpy.core", "numpy._core"])
def test_names_of_both_generations_of_numpy(old: str) -> None:
    array = np.arange(6, dtype=">f4").reshape(2, 3)
    new = np.ndarray.__reduce__(array)[0].__module__.rpartition(".")[0]
    pickled = pickle.dumps([array, np.float32(2)], 0).replace(new.encode(), old.encode())
    assert f"c{old}.multiarray".encode() in pickled
    assert_same(unpickled(pickled), [array, np.float32(2)])


def test_what_python_2_wrote() -> None:
    """`pickle.dumps(numpy.arange(2, dtype="<i2"), 2)` of Python 2.7: bytes are text, names are bytes."""
    pickled = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87Rq\x03(K\x01K\x02"
        b"\x85cnumpy\ndtype\nq\x04U\x02i2K\x00K\x01\x87Rq\x05(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x04\x00\x00\x01\x00tb."
    )
    assert_same(unpickled(pickled), np.arange(2, dtype="<i2"))


@given(values)
def test_npy_as_numpy_reads_it(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = tmp_path_factory.mktemp("npy") / "value.npy"
    wrapped = np.empty((), dtype=object)
    wrapped[()] = value
    np.save(path, wrapped, allow_pickle=True)
    assert_same(load_npy(path), np.load(path, allow_pickle=True).item())


@given(arrays)
def test_plain_npy_as_numpy_reads_it(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("npy") / "array.npy"
    np.save(path, array)
    ours, theirs = load_npy(path), np.load(path, allow_pickle=False)
    assert_same(ours, theirs)


class Trap:
    """Its pickle does what it is told."""

    def __init__(self, *reduced: Any) -> None:
        self.reduced = reduced

    def __reduce__(self) -> Any:
        return self.reduced


SPRUNG: list[str] = []


def spring(*_: Any) -> list[str]:
    SPRUNG.append("sprung")
    return SPRUNG


def pushed_global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


F8 = np.dtype("f8")
BEGUN = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
DTYPE = b"cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"

HOSTILE: dict[str, bytes] = {
    "os.system": pickle.dumps(Trap(os.system, ("exit 1",))),
    "own function": pickle.dumps(Trap(spring, ())),
    "own function deep inside": pickle.dumps({"a": [np.zeros(2), (1, Trap(spring, ()))]}, 2),
    "own function as key": pickle.dumps({("a", Trap(spring, ())): 1}),
    "inside an object array": pickle.dumps(_objects([1, Trap(spring, ())])),
    "eval": pickle.dumps(Trap(eval, (f"__import__({__name__!r}).spring()",))),
    "exec": pickle.dumps(Trap(exec, ("import os",))),
    "getattr": pushed_global("builtins", "getattr") + b".",
    "import": pickle.dumps(Trap(__import__, ("os",))),
    "dotted name": b"\x80\x04\x8c\x08builtins\x94\x8c\x0elist.__class__\x93.",
    "dotted through numpy": b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93.",
    "numpy's own loader": pushed_global("numpy", "load") + b"(S'x.npy'\ntR.",
    "numpy f2py": pushed_global("numpy.f2py", "compile") + b".",
    "numpy.testing runstring": pushed_global("numpy.testing._private.utils", "runstring") + b".",
    "memmap": pushed_global("numpy", "memmap") + b"(S'x'\ntR.",
    "a function as data": pushed_global("collections", "defaultdict") + b".",
    "a function in a list": b"(lcnumpy\nndarray\na.",
    "a function in a tuple": b"(cnumpy\nndarray\nt.",
    "a function in a tuple in a dict": b"(dS'a'\n(cnumpy\nndarray\nts.",
    "call of a type": b"cbuiltins\nint\n(S'1'\ntR.",
    "call of data": b"S'os.system'\n(S'x'\ntR.",
    "call without arguments": pushed_global("numpy", "dtype") + b"NR.",
    "defaultdict of eval": pushed_global("collections", "defaultdict") + b"(cbuiltins\neval\ntR.",
    "defaultdict of dtype": pushed_global("collections", "defaultdict") + b"(cnumpy\ndtype\ntR.",
    "ordered dict of keys that cannot be": pushed_global("collections", "OrderedDict") + b"(((l(ltltR.",
    "codec that is no text codec": pushed_global("_codecs", "encode") + b"(Vx\nVzlib\ntR.",
    "persistent id": b"Pabc\n.",
    "binary persistent id": b"S'abc'\nQ.",
    "extension registry": b"\x80\x02\x82\x01.",
    "long extension registry": b"\x80\x02\x84\x01\x00\x00\x00.",
    "INST": b"(S'exit 1'\nios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nS'exit 1'\no.",
    "NEWOBJ": b"\x80\x02cbuiltins\nobject\n)\x81.",
    "NEWOBJ_EX": b"\x80\x04cbuiltins\ndict\n)}\x92.",
    "next buffer": b"\x80\x05\x97.",
    "state of a list": b"](S'x'\ntb.",
    "state of a dict": b"}}S'append'\nNsb.",
    "array without state": BEGUN + b".",
    "array without state in a list": b"(l" + BEGUN + b"a.",
    "array with two states": BEGUN + b"(I1\n(I0\nt" + DTYPE + b"I00\nC\x00tb(I1\n(I0\nt" + DTYPE + b"I00\nC\x00tb.",
    "array of terabytes": BEGUN + b"(I1\n(I1000000000000\nt" + DTYPE + b"I00\nC\x08aaaaaaaatb.",
    "array shorter than its bytes": BEGUN + b"(I1\n(I0\nt" + DTYPE + b"I00\nC\x08aaaaaaaatb.",
    "array of negative size": BEGUN + b"(I1\n(I-1\nt" + DTYPE + b"I00\nC\x08aaaaaaaatb.",
    "array whose size overflows": BEGUN + b"(I1\n(I4294967296\nI4294967296\nt" + DTYPE + b"I00\nC\x00tb.",
    "array of True by True": BEGUN + b"(I1\n(I01\nt" + DTYPE + b"I00\nC\x08aaaaaaaatb.",
    "array of many axes": BEGUN + b"(I1\n(" + b"I1\n" * 99 + b"t" + DTYPE + b"I00\nC\x08aaaaaaaatb.",
    "array of pointers": BEGUN
    + b"(I1\n(I1\ntcnumpy\ndtype\n(S'O8'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI63\ntbI00\nC\x08aaaaaaaatb.",
    "array of nothing, endless": BEGUN
    + b"(I1\n(I1000000000000\ntcnumpy\ndtype\n(S'V0'\nI0\nI1\ntR(I3\nS'|'\nNNNI0\nI1\nI0\ntbI00\nC\x00tb.",
    "array with data of another kind": BEGUN + b"(I1\n(I1\nt" + DTYPE + b"I00\nI8\ntb.",
    "array with a text as data type": BEGUN + b"(I1\n(I1\ntS'f8'\nI00\nC\x08aaaaaaaatb.",
    "array of dates": pickle.dumps(np.zeros(2, "M8[s]")),
    "records": pickle.dumps(np.zeros(2, "i4,f8").view(np.recarray)),
    "masked array": pickle.dumps(np.ma.masked_array(np.zeros(2))),
    "matrix of objects with a class": pickle.dumps(_objects([object()])),
    "column beyond its row": b"cnumpy\ndtype\n(S'V8'\nI0\nI1\ntR(I3\nS'|'\nN(S'a'\nt(dS'a'\n("
    + DTYPE
    + b"I4096\ntsI8\nI1\nI0\ntb.",
    "column of pointers": pickle.dumps(np.zeros(1, [("a", "O"), ("b", "f8")])),
    "table in a table": pickle.dumps(np.zeros(1, [("a", [("b", "f8")])])),
    "sub-array of terabytes": b"cnumpy\ndtype\n(S'V8'\nI0\nI1\ntR(I3\nS'|'\n("
    + DTYPE
    + b"(I99999999999\ntt"
    + b"NNI8\nI1\nI0\ntb.",
    "text that is no text": pickle.dumps(np.array(["ab"])).replace(b"a\0\0\0", b"\xff\xff\xff\xff"),
    "number of a million digits": b"\x80\x02\x8b" + struct.pack("<i", 10**5) + b"\x7f" * 10**5 + b".",
    "number of many decimal digits": b"L" + b"9" * 10**5 + b"L\n.",
    "text of exabytes": b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"abc.",
    "bytes of gigabytes": b"\x80\x03B" + struct.pack("<I", 2**32 - 1) + b"abc.",
    "bytearray of exabytes": b"\x80\x05\x96" + struct.pack("<Q", 2**63) + b"abc.",
    "memo at four billion": b"\x80\x02]r\xff\xff\xff\xffh\x00.",
    "memo that is empty": b"\x80\x02h\x07.",
    "list in itself": b"\x80\x02]q\x00h\x00a.",
    "list in itself by a detour": b"\x80\x02]q\x00](h\x00eq\x01a.",
    "dict in itself": b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.",
    "deep nesting": b"]" * 20_000 + b"a" * 19_999 + b".",
    "deep nesting of tuples as a key": b"}(K\x01" + b"\x85" * 20_000 + b"K\x01u.",
    "a billion laughs": b"\x80\x02(l"
    + b"".join(b"q%c(h%ch%ch%ch%ch%ch%ch%ch%ch%ch%cl" % ((i,) * 11) for i in range(12))
    + b".",
    "a list as a key": b"}(](l](u.",
    "odd number of items": b"}(K\x01u.",
    "append to a tuple": b")K\x01a.",
    "items of a list": b"](K\x01K\x02u.",
    "mark as data": b"(.",
    "mark in a tuple": b"((\x85.",
    "too little on the stack": b"\x85.",
    "too much on the stack": b"K\x01K\x02.",
    "duplicate": b"]2.",
    "pop": b"K\x01K\x020.",
    "bytes after the end": pickle.dumps({}) + b"cos\nsystem\n.",
    "unknown instruction": b"\xfe.",
    "protocol of the future": b"\x80\x09}.",
    "truncated": pickle.dumps({"a": np.arange(9)})[:-20],
    "without end": pickle.dumps({"a": 1})[:-1],
    "empty": b"",
    "text": b"hello\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pickle_is_refused_unrun(tmp_path: Path, name: str) -> None:
    path = tmp_path / "table.pkl"
    path.write_bytes(HOSTILE[name])
    before, modules = len(SPRUNG), set(sys.modules)
    with pytest.raises(InputError, match="table.pkl is not read: it is no pickle of plain data"):
        load_pickle(path)
    assert len(SPRUNG) == before and set(sys.modules) == modules
    path.with_suffix(".npy").write_bytes(npy_header("'|O'", "()") + HOSTILE[name])
    with pytest.raises(InputError, match="table.npy is not read"):
        load_npy(path.with_suffix(".npy"))


def test_the_traps_are_traps() -> None:
    """What is refused above is what the stock unpickler would run."""
    before = len(SPRUNG)
    for name in ("own function", "own function deep inside", "inside an object array", "eval"):
        pickle.loads(HOSTILE[name])
    assert len(SPRUNG) == before + 4


def npy_header(descr: str, shape: str, version: tuple[int, int] = (1, 0)) -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H" if version == (1, 0) else "<I", len(text)) + text


BAD_NPY: dict[str, bytes] = {
    "terabytes": npy_header("'<f8'", "(1000000000000,)") + b"a" * 8,
    "an overflow": npy_header("'<f8'", "(4294967296, 4294967296)"),
    "too short": npy_header("'<f8'", "(2,)") + b"a" * 8,
    "too long": npy_header("'<f8'", "(2,)") + b"a" * 24,
    "negative": npy_header("'<f8'", "(-1,)"),
    "objects without a pickle": npy_header("'|O'", "(1000000000000,)"),
    "another shape than its header": npy_header("'|O'", "(2,)") + pickle.dumps(_objects([1])),
    "no array": npy_header("'|O'", "()") + pickle.dumps([1]),
    "pointers in columns": npy_header("[('a', '|O')]", "(1,)") + b"a" * 8,
    "a header that calls": npy_header("__import__('os').system('exit 1')", "()"),
    "a deep header": npy_header("(" * 500 + ")" * 500, "()"),
    "a header of 4 GB": b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}",
    "another version": npy_header("'<f8'", "()", (9, 9)),
    "no header": b"\x93NUMPY\x01\x00",
    "something else": b"PK\x03\x04",
    "nothing": b"",
}


@pytest.mark.parametrize("name", BAD_NPY)
def test_a_false_npy_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "table.npy"
    path.write_bytes(BAD_NPY[name])
    with pytest.raises(InputError, match="table.npy is not read"):
        load_npy(path)


def test_a_head_that_numpy_cannot_take_apart_is_one_sentence(tmp_path: Path) -> None:
    """Heads of Python 2 are taken to pieces by Python's tokenizer; long ones come with advice of many lines."""
    for head in (
        b"{'descr': '|O', 'shape': (3L,\n",
        b"{'descr': '|O', 'fortran_order': False, 'shape': ()}" + b" " * 20000,
    ):
        path = tmp_path / "false.npy"
        path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head)
        with pytest.raises(InputError, match="is not read") as raised:
            load_npy(path)
        assert "\n" not in str(raised.value)


def test_no_file(tmp_path: Path) -> None:
    for path, said in ((tmp_path / "absent", "there is no file"), (tmp_path, "it is a folder")):
        for load in (load_pickle, load_npy):
            with pytest.raises(InputError, match=said):
                load(path)


def test_memory_stays_near_the_size_of_the_file() -> None:
    """Ten bytes do not become a gigabyte: an unpickler that trusts sizes or memo numbers would take it."""
    import tracemalloc

    tracemalloc.start()
    for name, pickled in HOSTILE.items():
        tracemalloc.reset_peak()
        start = tracemalloc.get_traced_memory()[0]
        with pytest.raises(ValueError):
            unpickled(pickled)
        peak = tracemalloc.get_traced_memory()[1] - start
        assert peak < 200_000 + 500 * len(pickled), name
    tracemalloc.stop()


SEEDS = [pickle.dumps({"a": np.arange(3.0), "b": [(1, "x"), {2}]}, protocol) for protocol in PROTOCOLS]
SEEDS.append(pickle.dumps(np.zeros(2, [("a", "f4", (2, 2)), ("b", "i2")]), 2))


@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4))
@settings(max_examples=400)
def test_any_damage_is_a_value_or_a_refusal(seed: bytes, changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(seed)
    for place, byte in changes:
        damaged[place % len(damaged)] = byte
    try:
        pickle.dumps(unpickled(bytes(damaged)))
    except ValueError as error:
        assert "no pickle of plain data" in str(error)


@given(
    st.binary(max_size=60)
    | st.lists(st.sampled_from([bytes([i]) for i in b"(.0l]}d)t\x85\x86\x87aeusbRhqc\x93K\x01N\x94"])).map(b"".join)
)
@example(b"S'\\8'\n.")
@settings(max_examples=400)
def test_any_bytes_are_a_value_or_a_refusal(data: bytes) -> None:
    try:
        pickle.dumps(unpickled(data + b"."))
    except ValueError as error:
        assert "no pickle of plain data" in str(error)
