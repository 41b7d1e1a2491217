"""Files that lie, as bytes, by what is wrong with them; and whole files, changed as disks and enemies change them."""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st


def safetensors(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """Return a file with a header, as JSON or as bytes, of the length that it has or that is claimed."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


EIGHT = bytes(8)
# What json, zipfile and NumPy find themselves; for all else the readers have a reason of their own.
FOUND_BY_OTHERS = {
    *["not UTF-8", "nested deeply", "nested deeply inside", "an axis that no array has", "an integer of 5,000 digits"],
    *["of no bytes", "no archive", "cut", "a bomb that lies", "encrypted", "another checksum", "ours, its comment cut"],
}
SAFETENSORS = {
    "empty": b"",
    "seven bytes": bytes(7),
    "a header of no bytes": safetensors(b""),
    "a header longer than the file": safetensors(b"{}", length=3),
    "a header of 2**63 bytes": safetensors(b"{}", length=2**63),
    "not UTF-8": safetensors(b'{"\xff": 1}'),
    "a list": safetensors([entry()], EIGHT),
    "nested deeply": safetensors(b"[" * 100_000),
    "nested deeply inside": safetensors(b'{"w":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001),
    "lists by the hundred thousand": safetensors(b'{"w": [' + b"[]," * 100_000 + b"[]]}"),
    "objects by the hundred thousand": safetensors(b'{"w": [' + b"{}," * 100_000 + b"{}]}"),
    "a name twice": safetensors(
        b'{"w":' + json.dumps(entry()).encode() + b',"w":' + json.dumps(entry()).encode() + b"}", EIGHT
    ),
    "a shape of nan": safetensors({"w": entry(shape=[float("nan")])}, EIGHT),
    "an infinite shape": safetensors({"w": entry(shape=[float("inf")])}, EIGHT),
    "a shape of floats": safetensors({"w": entry(shape=[2.0])}, EIGHT),
    "a shape of bools": safetensors({"w": entry(shape=[True, 2])}, EIGHT),
    "a shape of texts": safetensors({"w": entry(shape=["2"])}, EIGHT),
    "a negative shape": safetensors({"w": entry(shape=[-1, -2])}, EIGHT),
    "no shape": safetensors({"w": entry(shape=None)}, EIGHT),
    "65 axes": safetensors({"w": entry(shape=[1] * 64 + [2])}, EIGHT),
    "a hundred thousand axes": safetensors({"w": entry(shape=[9**20] * 100_000)}, EIGHT),
    "more numbers than bytes": safetensors({"w": entry(shape=[2**40])}, EIGHT),
    "an axis that no array has": safetensors({"w": entry(shape=[0, 2**62, 2**62], offsets=[0, 0])}),
    "an integer of 5,000 digits": safetensors(b'{"w": ' + b"9" * 5000 + b"}"),
    "negative offsets": safetensors({"w": entry(offsets=[-8, 0])}, EIGHT),
    "offsets turned round": safetensors({"w": entry(offsets=[8, 0])}, EIGHT),
    "three offsets": safetensors({"w": entry(offsets=[0, 8, 8])}, EIGHT),
    "offsets of floats": safetensors({"w": entry(offsets=[0.0, 8.0])}, EIGHT),
    "overlapping": safetensors({"v": entry(), "w": entry(offsets=[4, 12])}, bytes(12)),
    "the same bytes twice": safetensors({"v": entry(), "w": entry()}, EIGHT),
    "a hole": safetensors({"v": entry(), "w": entry(offsets=[9, 17])}, bytes(17)),
    "beyond the end": safetensors({"w": entry(shape=[4], offsets=[0, 16])}, EIGHT),
    "bytes too many": safetensors({"w": entry()}, bytes(9)),
    "objects": safetensors({"w": entry("O")}, EIGHT),
    "eight-bit floats": safetensors({"w": entry("F8_E4M3", [8])}, EIGHT),
    "complex": safetensors({"w": entry("C64", [1])}, EIGHT),
    "a dtype of lists": safetensors({"w": entry(["F32"])}, EIGHT),
    "a number for an array": safetensors({"w": 3}, EIGHT),
    "a key too many": safetensors({"w": entry() | {"strides": [4]}}, EIGHT),
    "a key too few": safetensors({"w": {"dtype": "F32", "shape": [2]}}, EIGHT),
    "bools that are neither": safetensors({"w": entry("BOOL", [8])}, b"\1\0\2\1\0\0\0\0"),
    "metadata that are a list": safetensors({"__metadata__": [], "w": entry()}, EIGHT),
    "metadata that are numbers": safetensors({"__metadata__": {"n": 1}, "w": entry()}, EIGHT),
    "a path": safetensors({"../../w": entry()}, EIGHT),
    "ours without its checksum": safetensors({"__metadata__": {"written_by": "tinygrad_nn"}, "w": entry()}, EIGHT),
}


def npy(
    descr: str = "'<f4'", shape: str = "(2,)", data: bytes = EIGHT, version: bytes = b"\1\0", **changes: Any
) -> bytes:
    """Return an .npy file whose header says what it is told to, whatever the data are."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n"
    encoded = str(changes.get("text", text)).encode()
    length = struct.pack("<H" if version[0] == 1 else "<I", changes.get("length", len(encoded)))
    return b"\x93NUMPY" + version + length + encoded + data


def npz(members: dict[str, bytes] | list[tuple[str, bytes]], packed: int = zipfile.ZIP_STORED) -> bytes:
    """Return a zip archive of members."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", packed) as archive:
        for name, data in members.items() if isinstance(members, dict) else members:
            archive.writestr(zipfile.ZipInfo(name), data, packed)
    return stream.getvalue()


class Executed:
    """What a pickle would run."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return exec, ("raise SystemExit('the pickle ran')",)


def of_objects() -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.array([Executed()], object), allow_pickle=True)
    return npz({"w.npy": stream.getvalue()})


def edited(data: bytes, old: bytes, new: bytes, count: int = -1) -> bytes:
    assert old in data
    return data.replace(old, new, count)


def at_signatures(data: bytes, offsets: tuple[int, int], form: str, value: int) -> bytes:
    """Return an archive with a field changed in all local headers and all directory entries."""
    changed = bytearray(data)
    for signature, offset in zip((b"PK\3\4", b"PK\1\2"), offsets, strict=True):
        for found in re.finditer(re.escape(signature), data):
            struct.pack_into(form, changed, found.start() + offset, value)
    return bytes(changed)


def bomb(count: int = 1, size: int = 30_000_000) -> bytes:
    """Return an archive of arrays of zeros."""
    return npz({f"{i}.npy": npy("'|u1'", f"({size},)", bytes(size)) for i in range(count)}, zipfile.ZIP_DEFLATED)


def lying_bomb() -> bytes:
    """Return an archive whose member says that it unpacks into 900 bytes, and unpacks into thirty million."""
    return at_signatures(bomb(), (22, 24), "<I", 900)


def overlapping() -> bytes:
    """Return an archive whose second member lies inside its first."""
    inner = npz({"b.npy": npy(shape="(1000,)", data=bytes(4000))})
    outer = npz({"a.npy": npy("'|u1'", f"({len(inner)},)", inner)})
    entry = bytearray(inner[inner.index(b"PK\1\2") : inner.index(b"PK\5\6")])
    struct.pack_into("<I", entry, 42, outer.index(inner))
    end = outer.rindex(b"PK\5\6")
    directory = outer[outer.rindex(b"PK\1\2") : end] + entry
    tail = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 2, 2, len(directory), outer.rindex(b"PK\1\2"), 0)
    return outer[: outer.rindex(b"PK\1\2")] + directory + tail


ONE = npz({"w.npy": npy()})
NPZ = {
    "of no bytes": b"",
    "no archive": b"PK\3\4" + bytes(100),
    "cut": ONE[:-30],
    "objects": of_objects(),
    "objects by their header": npz({"w.npy": npy("'|O'", "(1,)")}),
    "records": npz({"w.npy": npy("[('a', '<f4')]")}),
    "texts": npz({"w.npy": npy("'<U1'")}),
    "complex": npz({"w.npy": npy("'<c8'", "(1,)")}),
    "an odd dtype": npz({"w.npy": npy("'<f3'")}),
    "code for a header": npz({"w.npy": npy(text="__import__('os').abort()")}),
    "a header nested deeply": npz({"w.npy": npy(shape="(" * 4000)}),
    "a header of 60,000 bytes": npz({"w.npy": npy(text=" " * 60_000)}),
    "a header longer than its member": npz({"w.npy": npy(length=9000)}),
    "a header of four billion bytes": npz({"w.npy": npy(version=b"\2\0", length=2**32 - 1)}),
    "a million axes, packed": npz({"w.npy": npy(shape=f"({'1,' * 1_000_000})", version=b"\2\0")}, zipfile.ZIP_DEFLATED),
    "version 3": npz({"w.npy": npy(version=b"\3\0")}),
    "no .npy": npz({"w.npy": b"nothing of the kind"}),
    "an empty member": npz({"w.npy": b""}),
    "a larger shape": npz({"w.npy": npy(shape="(3,)")}),
    "a smaller shape": npz({"w.npy": npy(shape="(1,)")}),
    "a negative shape": npz({"w.npy": npy(shape="(-1, -2)")}),
    "a shape of nan": npz({"w.npy": npy(shape="(nan,)")}),
    "a shape of 9**20": npz({"w.npy": npy(shape=f"({9**20}, 0)", data=b"")}),
    "bools that are neither": npz({"w.npy": npy("'|b1'", "(8,)", b"\1\0\2\1\0\0\0\0")}),
    "another ending": npz({"w.txt": npy()}),
    "a path upwards": npz({"../w.npy": npy()}),
    "a path inside": npz({"a/../../w.npy": npy()}),
    "an absolute path": npz({"/etc/w.npy": npy()}),
    "a path of Windows": npz({"..\\w.npy": npy()}),
    "a drive": npz({"C:w.npy": npy()}),
    "a name that ends early": edited(npz({"abcde.npy": npy()}), b"abcde.npy", b"ab\0de.npy"),
    "a name twice": edited(npz({"a.npy": npy(), "b.npy": npy()}), b"b.npy", b"a.npy"),
    "a member inside another": overlapping(),
    "a bomb": bomb(),
    "a bomb that lies": lying_bomb(),
    "a bomb of many": bomb(5, 5_000_000),
    "packed by bzip2": npz({"w.npy": npy()}, zipfile.ZIP_BZIP2),
    "packed by lzma": npz({"w.npy": npy()}, zipfile.ZIP_LZMA),
    "encrypted": at_signatures(ONE, (6, 8), "<H", 1),
    "stored, of another size": at_signatures(ONE, (22, 24), "<I", 2**31),
    "another checksum": at_signatures(ONE, (14, 16), "<I", 1),
    "ours with a list for its metadata": ONE[:-2] + struct.pack("<H", 16) + b'["tinygrad_nn"]\n',
    "ours without its checksum": ONE[:-2] + struct.pack("<H", 29) + b'{"written_by": "tinygrad_nn"}',
    "ours, its comment cut": ONE[:-2] + struct.pack("<H", 20) + b'{"written_by": "tiny' + b"grad_nn",
}  # fmt: skip

VALUES = [b"-1", b"0", b"1", b"NaN", b"1e9", b"4294967296", b"18446744073709551616", b"true", b"[", b'"', b"}", b"F32"]
VALUES += [b"BF16", b"<f8", b"|O", b"True", b"../", b"\0", b"\xff\xff\xff\xff", b"\xff" * 8]


def mutated(data: bytes) -> st.SearchStrategy[bytes]:
    """Return a strategy for a file with one to four changes: bits, bytes, cuts, pasted parts, numbers, headers."""
    structure = [m.start() for m in re.finditer(rb"PK|[\d'\"{}\[\],:]", data)]
    place = st.one_of(st.integers(0, len(data) - 1), st.sampled_from(structure))
    span = st.tuples(place, st.integers(1, 40))
    changes = st.one_of(
        st.tuples(st.just("flip"), place, st.integers(0, 7)),
        st.tuples(st.just("cut"), span, st.just(b"")),
        st.tuples(st.just("cut"), span, st.binary(max_size=40)),
        st.tuples(st.just("cut"), span, st.sampled_from(VALUES)),
        st.tuples(st.just("number"), st.integers(0, 200), st.sampled_from(VALUES)),
        st.tuples(st.just("paste"), span, place),
        st.tuples(st.just("end"), place, st.just(0)),
        st.tuples(st.just("field"), place, st.integers(0, 2**32 - 1)),
    )
    return st.lists(changes, min_size=1, max_size=4).map(lambda each: apply(data, each))


def apply(data: bytes, changes: list[Any]) -> bytes:
    changed = bytearray(data)
    for kind, where, how in changes:
        at = where[0] if isinstance(where, tuple) else where
        if kind == "flip" and at < len(changed):
            changed[at] ^= 1 << how
        elif kind == "cut":
            changed[at : at + where[1]] = how
        elif kind == "number":
            numbers = list(re.finditer(rb"\d+", changed))
            if numbers:
                changed[slice(*numbers[at % len(numbers)].span())] = how
        elif kind == "paste":
            changed[at:at] = changed[how : how + where[1]]
        elif kind == "end":
            del changed[at:]
        elif kind == "field" and at + 8 < len(changed):
            struct.pack_into("<I", changed, at + 4, how)
    return bytes(changed)
