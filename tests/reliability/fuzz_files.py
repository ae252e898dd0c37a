"""Saved fits that are damaged or edited at random: each is refused, or means what its formula says.

`run` does it in a process of its own, under an audit hook that ends it if anything is run, written,
unpickled or asked of the network while a file is loaded and answers its first verb.
"""

from __future__ import annotations

import copy
import json
import os
import random
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from tests.edited_files import with_digest, with_hdf5, with_json, with_tree, without_digest

CANARY = "run-by-a-file"
"""File that hostile text would make, or read."""
HOSTILE = (
    f"I(x + 0*np._pytesttester.os.system('touch {CANARY}'))",
    f"I(x + 0*np.save('{CANARY}', x))",
    f"I(x + 0*np.load('{CANARY}', allow_pickle=True))",
    "I(x + 0*scale.__init__.__globals__)",
    "I(scale.__call__.__globals__.np._pytesttester.os.getpid() * x)",
    f"__import__('os').system('touch {CANARY}')",
    f"open('{CANARY}', 'w')",
    "I((lambda: x)())",
    "I(x) if exec('1') else I(x)",
    "[c for c in ().__class__.__base__.__subclasses__()]",
    "np.fromfile(x)",
    "eval(x)",
    "I(x ** 99 ** 99 ** 99)",
    "C(x, levels=exec('1'))",
    "pickle.loads(x)",
    "../../../etc/passwd",
    "x\0y",
    "\ud800",
    "x" * 100_000,
)
VALUES = (None, True, False, 0, -1, 1, 3, 2**70, 0.5, -1e300, float("nan"), float("inf"), "", "x")
EMPTY: tuple[Any, ...] = (
    *([], {}, [[]], {"array": []}, {"items": []}),
    *({"interval": [1]}, {"time": 1}),
)


# --- edits ----------------------------------------------------------------------------------------

Edit = Callable[[bytes, random.Random], bytes]


def flip(content: bytes, rng: random.Random) -> bytes:
    """One bit flipped."""
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]


def truncate(content: bytes, rng: random.Random) -> bytes:
    """The end left out."""
    return content[: rng.randrange(len(content))]


def append(content: bytes, rng: random.Random) -> bytes:
    """More bytes at the end."""
    return content + rng.randbytes(rng.randrange(1, 5000))


def swap(content: bytes, rng: random.Random) -> bytes:
    """Two blocks in each other's place."""
    size = rng.choice([1, 8, 64, 512, 4096])
    one, other = (rng.randrange(len(content) // size) * size for _ in range(2))
    changed = bytearray(content)
    changed[one : one + size] = content[other : other + size]
    changed[other : other + size] = content[one : one + size]
    return bytes(changed)


def flip_with_digest(content: bytes, rng: random.Random) -> bytes:
    """A bit flipped by someone who writes the digest anew."""
    return with_digest(flip(without_digest(content), rng))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def edit_json(content: bytes, rng: random.Random) -> bytes:
    """Some values of the description changed, deleted, moved, or replaced by hostile text."""

    def edit(description: dict[str, Any]) -> None:
        for _ in range(rng.choice([1, 1, 1, 2, 4])):
            every = list(places(description))
            depth = rng.choice(sorted({len(path) for path in every}))
            *path, key = rng.choice([path for path in every if len(path) == depth])
            inside = description
            for step in path:
                inside = inside[step]
            _edit_value(inside, key, rng)

    return with_json(content, edit)


def _edit_value(inside: Any, key: Any, rng: random.Random) -> None:
    way = rng.randrange(7)
    if way == 0:
        del inside[key]
    elif way == 1:
        inside[key] = copy.deepcopy(rng.choice([*VALUES, *EMPTY]))
    elif way == 2:
        inside[key] = rng.choice(HOSTILE)
    elif way == 3 and isinstance(inside, list):
        inside.insert(key, copy.deepcopy(rng.choice(inside)))
    elif way == 4:
        inside[key] = [inside[key]] if rng.random() < 0.5 else {"x": inside[key]}
    elif way == 5 and isinstance(inside[key], int | float):
        inside[key] += rng.choice([-1, 1, 1e-9, 1e9])
    else:
        keys = list(inside) if isinstance(inside, dict) else range(len(inside))
        other = rng.choice(list(keys))
        inside[key], inside[other] = inside[other], inside[key]


def edit_calls(content: bytes, rng: random.Random) -> bytes:
    """A call replaced by another one, in some or all of the places where it stands."""

    def edit(description: dict[str, Any]) -> dict[str, Any]:
        design = description["design"]
        parts = design.get("parts", design.get("components"))
        sources = [part["source"] for part in parts if "(" in part["source"]]
        old, new = rng.choice(sources), rng.choice([*HOSTILE[:-3], "I(x * 2)", "log(x)", "I(z)"])
        if rng.random() < 0.3:
            return json.loads(json.dumps(description).replace(old, json.dumps(new)[1:-1]))
        for part in parts:
            if part["source"] == old:
                part["source"] = new
                if rng.random() < 0.5:
                    part["name"] = new
        states = design["calls"]["states"]
        if old in states and rng.random() < 0.5:
            states[new] = states.pop(old)
        if rng.random() < 0.2:
            design["formula"] = f"y ~ {new} + (1 | state)"
        return description

    return with_json(content, edit)


def edit_arrays(content: bytes, rng: random.Random) -> bytes:
    """A variable or group renamed, removed, cut, of another type, or with numbers that are none."""

    def edit(tree: xr.DataTree) -> xr.DataTree:
        group = rng.choice(sorted(tree.children))
        way = rng.randrange(7)
        if way == 0:
            new = {("other" if k == group else k): v.to_dataset() for k, v in tree.children.items()}
            return xr.DataTree.from_dict(new)
        dataset = tree[group].to_dataset()
        name = rng.choice(sorted(map(str, dataset.variables)))
        if way == 1:
            dataset = dataset.drop_vars(name)
        elif way == 2 and name not in dataset.dims:
            dataset = dataset.rename_vars({name: rng.choice(["x", "Intercept ", "observed2"])})
        elif way == 3 and dataset.sizes:
            dim = rng.choice(sorted(map(str, dataset.sizes)))
            dataset = dataset.isel({dim: slice(0, rng.randrange(dataset.sizes[dim]))})
        elif way == 4 and name in dataset.data_vars:
            dataset[name] = dataset[name].astype(rng.choice(["int16", "float32", "str", "bool"]))
        elif way == 5 and name in dataset.data_vars and dataset[name].dtype.kind == "f":
            dataset[name] = dataset[name].where(False, rng.choice([np.nan, np.inf, -1.0]))
        elif name in dataset.dims:
            dataset = dataset.assign_coords({name: dataset[name].to_numpy()[::-1]})
        new = {k: v.to_dataset() for k, v in tree.children.items()} | {group: dataset}
        return xr.DataTree.from_dict(new)

    return with_tree(content, edit)


def edit_hdf5(content: bytes, rng: random.Random) -> bytes:
    """Something that HDF5 can and a saved fit does not need: links, other files, bombs."""

    def edit(file: h5py.File) -> None:
        group = file[rng.choice(["posterior", "mrp"])]
        name = rng.choice(sorted(group))
        rng.choice(HDF5)(group, name, rng)

    return with_hdf5(content, edit)


def _replaced(group: h5py.Group, name: str, **options: Any) -> h5py.Dataset:
    old = group[name]
    shape, dtype = old.shape, old.dtype
    del group[name]
    made: h5py.Dataset = group.create_dataset(name, **{"shape": shape, "dtype": dtype, **options})
    return made


def _soft_link(group: h5py.Group, name: str, _: random.Random) -> None:
    del group[name]
    group[name] = h5py.SoftLink("/posterior/chain")


def _external_link(group: h5py.Group, name: str, _: random.Random) -> None:
    del group[name]
    group[name] = h5py.ExternalLink(CANARY, "/posterior/chain")


def _hard_link(group: h5py.Group, name: str, _: random.Random) -> None:
    group["again"] = group[name]


def _cycle(group: h5py.Group, _name: str, _: random.Random) -> None:
    group["again"] = group.parent


def _external_storage(group: h5py.Group, name: str, _: random.Random) -> None:
    shape = group[name].shape
    size = int(np.prod(shape, dtype=np.int64))
    _replaced(group, name, dtype=np.uint8, external=[("/etc/passwd", 0, size)])


def _virtual(group: h5py.Group, name: str, _: random.Random) -> None:
    shape = group[name].shape
    del group[name]
    layout = h5py.VirtualLayout(shape, dtype=np.float64)
    layout[:] = h5py.VirtualSource(CANARY, "x", shape=shape)
    group.create_virtual_dataset(name, layout)


def _never_written(group: h5py.Group, name: str, rng: random.Random) -> None:
    _replaced(group, name, shape=(10 ** rng.randrange(3, 11), 100), dtype=np.float64)


def _packed(group: h5py.Group, name: str, rng: random.Random) -> None:
    made = _replaced(
        group, name, shape=(2**20,), chunks=(2**20,), dtype=np.float64, compression="gzip"
    )
    if rng.random() < 0.5:
        made[:] = 0.0


def _one_text_often(group: h5py.Group, name: str, _: random.Random) -> None:
    texts = _replaced(group, name, shape=(1000,), dtype=h5py.string_dtype())
    texts[:] = ["x" * 10_000] * 1000


def _reference(group: h5py.Group, name: str, _: random.Random) -> None:
    _replaced(group, name, dtype=h5py.ref_dtype)


def _table(group: h5py.Group, name: str, _: random.Random) -> None:
    _replaced(group, name, dtype=np.dtype([("a", "f8"), ("b", "i4")]))


def _deep(group: h5py.Group, _name: str, _: random.Random) -> None:
    group.create_group("a/b/c/d/e/f")


def _named_type(group: h5py.Group, _name: str, _: random.Random) -> None:
    group["type"] = np.dtype("f8")


def _many_texts(group: h5py.Group, name: str, _: random.Random) -> None:
    group[name].attrs["units"] = ["days since 1970-01-01"] * 50


def _scaled(group: h5py.Group, name: str, rng: random.Random) -> None:
    group[name].attrs["scale_factor"] = rng.choice([0.0, np.nan, "x", 2.0])


def _times(group: h5py.Group, name: str, rng: random.Random) -> None:
    group[name].attrs["units"] = rng.choice(["days since 0001-01-01", "days since", "seconds"])


def _no_dims(group: h5py.Group, name: str, _: random.Random) -> None:
    for attribute in list(group[name].attrs):
        del group[name].attrs[attribute]


HDF5: tuple[Callable[[h5py.Group, str, random.Random], None], ...] = (
    *(_soft_link, _external_link, _hard_link, _cycle, _external_storage, _virtual),
    *(_never_written, _packed, _one_text_often, _reference, _table, _deep, _named_type),
    *(_many_texts, _scaled, _times, _no_dims),
)

EDITS: Mapping[str, Edit] = {
    edit.__name__: edit
    for edit in (
        *(flip, truncate, append, swap, flip_with_digest),
        *(edit_json, edit_calls, edit_arrays, edit_hdf5),
    )
}
MOST_SAID = 2000
"""Characters of the longest message."""
DAMAGE = ("flip", "truncate", "append", "swap")
"""Edits by nobody: all are refused."""

# --- one file -------------------------------------------------------------------------------------

_WATCHED = False


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    """End the process if anything is done that loading a fit does not need."""
    if not _WATCHED:
        return
    done = f"{event} {arguments!r:.300}"
    if event.startswith(("os.", "subprocess", "socket", "pickle", "ctypes", "shutil", "marshal")):
        if event not in ("os.listdir", "os.scandir", "os.putenv"):
            _end(done)
    elif event == "exec":
        made_from = getattr(arguments[0], "co_filename", "")
        if not made_from.startswith("/"):
            _end(done)
    elif event == "open":
        path, _mode, flags = arguments
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND):
            _end(done)
        if isinstance(path, str) and path.endswith(("passwd", CANARY)):
            _end(done)


def _end(done: str) -> None:
    sys.stderr.write(f"a file did this: {done}\n")
    sys.stderr.flush()
    os._exit(3)


@contextmanager
def _watched() -> Iterator[None]:
    global _WATCHED
    _WATCHED = True
    try:
        yield
    finally:
        _WATCHED = False


def outcome(path: Path, frame: Any) -> str:
    """ "refused", "refused later" or "loaded"; raises for anything else."""
    import mrp
    from mrp.errors import FitError, MRPError

    with _watched(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fit = mrp.load_fit(path)
        except FitError as error:
            if len(str(error)) > MOST_SAID:
                raise AssertionError(f"a message of {len(str(error))} characters") from error
            return "refused"
        _check_says_what_it_does(fit)
        try:
            mrp.predictions(fit, newdata=frame).to_frame()
            mrp.avg_predictions(fit, newdata=frame, by="state").to_frame()
        except MRPError:
            return "refused later"
    return "loaded"


def _check_says_what_it_does(fit: Any) -> None:
    """Raise unless all that a design computes is in its formula, and all of the formula in it."""
    from mrp.formula.calls import check_functions
    from mrp.formula.grammar import describe, name_of

    described = describe(fit.design.formula)
    written = [*described.terms, *(t for b in described.brackets for t in (*b.terms, b.factor))]
    texts = {part.text for parts in written for part in parts}
    sources = {component.source for component in fit.design.components.values()}
    assert sources == texts, f"{sources} computed, {texts} printed"
    for parts in written:
        for part in parts:
            if part.is_call:
                check_functions(part.text, {})
    terms = {(t.of or t.name).replace("∕", "/") for t in fit.design.terms} - {"Intercept"}
    offsets = set(fit.design.offsets)
    assert terms | offsets == {name_of(parts) for parts in described.terms}
    factors = {name_of(b.factor).replace("/", "∕") for b in described.brackets}
    assert {block.factor for block in fit.design.blocks} == factors


# --- many files -----------------------------------------------------------------------------------


def _originals(folder: Path) -> tuple[list[bytes], Any]:
    """Fits with all that a file can say, and a frame of the columns that they need."""
    from mrp.testing import fake_fit
    from tests.cases import FRAME, SURVEY

    fits = (
        fake_fit(
            "y ~ scale(x) + I(x**2) + C(district, levels=[1, 2, 3]) + poly(exposure, 2) + gender "
            "+ (1 + x | state) + (1 | region:gender)",
            SURVEY,
            family="bernoulli",
            draws=3,
        ),
        fake_fit(
            "education ~ 0 + age + bs(x, df=4) + offset(log(exposure)) + (1 | state)",
            SURVEY.assign(education=SURVEY["education"].cat.as_ordered()),
            family="cumulative",
            draws=3,
        ),
    )
    made = [fit.save(folder / f"{k}.nc").read_bytes() for k, fit in enumerate(fits)]
    return made, FRAME


def _file(original: bytes, kind: str, rng: random.Random) -> bytes:
    edited = EDITS[kind](original, rng)
    if kind not in DAMAGE and rng.random() < 0.2:
        return _without_mark(edited)
    return edited


def _without_mark(content: bytes) -> bytes:
    """The file as one of no format that has a digest."""
    from mrp.saved_fits.digest import MARK

    return without_digest(content).replace(MARK, b"-" * len(MARK))


def fuzz(count: int, seed: int, folder: Path) -> dict[str, int]:
    """Outcomes by kind of edit; the process ends where one is wrong."""
    rng = random.Random(seed)
    originals, frame = _originals(folder)
    path = folder / "edited.nc"
    for original in originals:  # imports and compiles what is needed
        path.write_bytes(original)
        assert outcome(path, frame) == "loaded"
    sys.addaudithook(_watch)
    counts: Counter[str] = Counter()
    for number in range(count):
        kind = rng.choice(sorted(EDITS))
        original = rng.choice(originals)
        try:
            content = _file(original, kind, rng)
        except (ValueError, TypeError, KeyError, UnicodeError, OSError, RuntimeError):
            counts["could not be edited so"] += 1
            continue
        path.write_bytes(content)
        print(f"{number} {kind}", file=sys.stderr, flush=True)
        found = outcome(path, frame)
        if kind in DAMAGE:
            assert found == "refused" or content == original, f"{kind} was {found}"
        counts[f"{kind}: {found}"] += 1
    assert not list(folder.glob(f"**/{CANARY}*")), "a file ran a command"
    return dict(sorted(counts.items()))


def run(count: int, seed: int) -> dict[str, int]:
    """Load `count` damaged and edited files in a process of its own.

    Returns
    -------
    How many of each kind of edit were refused, were refused by the first verb, or loaded as what
    their formula says.

    Raises
    ------
    AssertionError
        One did something else; the seed and the number of the file say which.
    """
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "tests.reliability.fuzz_files", str(count), str(seed), folder],
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
    assert done.returncode == 0, f"seed {seed}, code {done.returncode}:\n{done.stderr[-3000:]}"
    counts: dict[str, int] = json.loads(done.stdout)
    return counts


if __name__ == "__main__":
    import faulthandler

    faulthandler.enable()
    os.chdir(sys.argv[3])
    print(json.dumps(fuzz(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))))
