"""Several estimates as one, with a label that tells them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mrp.arguments import explained
from mrp.errors import RequestError, listing, written
from mrp.prediction import RowDraws
from mrp.results import estimates as results
from mrp.results.estimates import RESULTS, Estimates, Made
from mrp.results.estimates import estimates as made

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Stacked:
    """The rows of several quantities, one after the other."""

    parts: tuple[RowDraws, ...]

    @property
    def n(self) -> int:
        """Number of rows, over all parts."""
        return sum(part.n for part in self.parts)

    @property
    def size(self) -> int:
        """Number of draws."""
        return self.parts[0].size

    @property
    def keys(self) -> list[NDArray[np.int64]]:
        """Every row is its own."""
        return [np.arange(self.n)]

    def values(self, rows: NDArray[np.intp]) -> Floats:
        """Values (rows, draws)."""
        result = np.empty((len(rows), self.size))
        start = 0
        for part in self.parts:
            own = (rows >= start) & (rows < start + part.n)
            if own.any():
                result[own] = part.values(rows[own] - start)
            start += part.n
        return result


def stacked(parts: Sequence[RowDraws]) -> RowDraws:
    """The rows of quantities one after the other, in one array if all are made and small."""
    if len(parts) == 1:
        return parts[0]
    arrays = [part.array for part in parts if isinstance(part, Made)]
    if len(arrays) == len(parts) and sum(array.nbytes for array in arrays) <= results.KEPT_BYTES:
        return Made(np.concatenate(arrays))
    return Stacked(tuple(parts))


@explained
def concat(
    estimates: Mapping[Any, Estimates] | Sequence[Estimates],
    labels: Sequence[Any] | None = None,
    *,
    name: str = "model",
) -> Estimates:
    """Several estimates as one: to see them in one table or picture, or to compare them.

    Parameters
    ----------
    estimates
        Estimates with the same label columns and as many draws. The keys of a mapping are their
        labels.
    labels
        A label for each of a list; 1, 2, … by default.
    name
        Column of these labels.

    Returns
    -------
    The estimates one after the other, labelled by `name` and their own labels. Centre and interval
    are those of the first. Draws are paired by number: those of different models are independent if
    their seeds differ. Draws too large to keep are made again when asked for.

    Raises
    ------
    RequestError
        Label columns, scales or numbers of draws differ; a label is there twice.

    Examples
    --------
    >>> import mrp
    >>> fit = mrp.testing.example_fit()
    >>> response = mrp.avg_predictions(fit, by="gender")
    >>> both = mrp.concat({"all": response, "again": response}, name="draws")
    >>> both.names
    ['all, Man', 'all, Woman', 'again, Man', 'again, Woman']
    """
    parts = _by_label(estimates, labels)
    _check_same(parts)
    _check_name(name, parts)
    tables = [part.labels for part in parts.values()]
    columns = tables[0].columns
    table = pd.concat([each[columns] for each in tables], ignore_index=True)
    table.insert(0, name, np.repeat(np.array(list(parts), dtype=object), list(map(len, tables))))
    table[name] = table[name].infer_objects()
    first = next(iter(parts.values()))
    source = stacked([part.source for part in parts.values()])
    result = made(table, source, _chains(parts), _about(parts, name))
    return result.with_interval(**first.summarised.attrs)  # type: ignore[arg-type]


def _by_label(
    estimates: Mapping[Any, Estimates] | Sequence[Estimates], labels: Sequence[Any] | None
) -> dict[Any, Estimates]:
    if isinstance(estimates, Mapping):
        if labels is not None:
            raise RequestError(
                f"`labels` must be left out where `estimates` has keys, got {listing(labels)}. "
                f"Available: {listing(estimates)}."
            )
        labels, estimates = list(estimates), list(estimates.values())
    if not isinstance(estimates, Sequence) or isinstance(estimates, str) or not len(estimates):
        empty = isinstance(estimates, list | tuple)
        raise RequestError(
            f"`estimates` must be a mapping or a list of Estimates, got "
            f"{'an empty one' if empty else type(estimates).__name__}. "
            f"For example: {{'vague': p1, 'informative': p2}}."
        )
    labels = list(range(1, len(estimates) + 1)) if labels is None else list(labels)
    if len(labels) != len(estimates) or len(set(labels)) < len(labels):
        raise RequestError(
            f"`labels` must have a different label for each of the {len(estimates)} estimates, "
            f"got {listing(labels)}."
        )
    for label, part in zip(labels, estimates, strict=True):
        if not isinstance(part, Estimates):
            raise RequestError(
                f"`estimates` must be Estimates, got {type(part).__name__} for {label!r}. "
                f"Make them with mrp.predictions() or another verb."
            )
    return dict(zip(labels, estimates, strict=True))


def _check_same(parts: Mapping[Any, Estimates]) -> None:
    (label, first), *rest = parts.items()
    for other, part in rest:
        if set(part.labels.columns) != set(first.labels.columns):
            raise RequestError(
                f"`estimates` must have the same label columns, got "
                f"{listing(first.labels.columns)} for {label!r} and "
                f"{listing(part.labels.columns)} for {other!r}. Ask both with the same `by=`."
            )
        scales = [each.about.get("type", "response") for each in (first, part)]
        if scales[0] != scales[1]:
            raise RequestError(
                f"`estimates` must be on the same scale, got type {scales[0]!r} for {label!r} and "
                f"{scales[1]!r} for {other!r}. Ask both with the same `type=`."
            )
        if part.source.size != first.source.size:
            raise RequestError(
                f"`estimates` must have equally many draws, got {first.source.size:,} for "
                f"{label!r} and {part.source.size:,} for {other!r}. Sample them again with the "
                f"same draws and chains, or a prior with as many draws as the posterior has in all."
            )


def _check_name(name: str, parts: Mapping[Any, Estimates]) -> None:
    own = [str(column) for column in next(iter(parts.values())).labels.columns]
    if name in RESULTS or name in own:
        raise RequestError(
            f"`name` must be a column that is not there yet, got {written(name)}. "
            f"Taken: {listing([*own, *RESULTS], shown=len(own) + len(RESULTS))}."
        )


def _chains(parts: Mapping[Any, Estimates]) -> int:
    """Number of chains; draws of a prior are independent, so that any number is right for them."""
    found = {label: part.chains for label, part in parts.items()}
    sampled = {k: n for k, n in found.items() if parts[k].about.get("group") != "prior"}
    kinds = set((sampled or found).values())
    if len(kinds) > 1 and sampled:
        raise RequestError(
            f"`estimates` must have equally many chains, got {sampled}. "
            f"Sample them again with the same draws and chains."
        )
    return kinds.pop() if len(kinds) == 1 else 1


def _about(parts: Mapping[Any, Estimates], name: str) -> dict[str, Any]:
    """What all parts agree on, and their quantities and groups in one text each."""
    abouts = [part.about for part in parts.values()]
    agreed = {k: v for k, v in abouts[0].items() if all(each.get(k) == v for each in abouts)}
    usual = {"quantity": "estimate", "group": "posterior"}
    texts = {
        key: " and ".join(dict.fromkeys(str(each.get(key, default)) for each in abouts))
        for key, default in usual.items()
    }
    drawn: dict[str, Any] = {}  # the largest shares of groups drawn anew
    for each in abouts:
        for factor, said in each.get("new_groups", {}).items():
            drawn[factor] = max(drawn.get(factor, said), said, key=lambda one: one["share"])
    return {**agreed, **texts, "color": name, **({"new_groups": drawn} if drawn else {})}
