"""`Estimates`: draws of quantities of interest, their labels, and how they were made."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args, overload

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from mrp.arguments import explained
from mrp.errors import RequestError, unknown
from mrp.errors import shown as shown_text
from mrp.memory import SHARE, available, check_fits
from mrp.prediction import RowDraws, chunks, in_blocks, period_of, values_of
from mrp.results import layouts
from mrp.results.events import Event, comparison, region, shares
from mrp.results.intervals import DEFAULT, Center, IntervalKind, Probabilities, Summary
from mrp.results.intervals import check_probability as check_probability
from mrp.results.intervals import summarise as summarise
from mrp.results.labels import beside, check_free, names_of
from mrp.results.layouts import Backend, Shape

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mrp.results.hypotheses import Hypothesis

Floats = NDArray[np.float64]
PlotKind = Literal["interval", "ridge"]

KEPT_BYTES = 256 * 2**20
"""Draws up to this size are kept; larger ones are made again when asked for."""
SHOWN_ROWS = 10
"""Rows that a rendering shows from the top and from the bottom of a long table."""
MOST_DECIMALS = 6
"""Decimals that a rendering shows at the most."""
COLUMNS = DEFAULT.columns
"""Columns of `to_frame` after the labels."""

RESULTS = ("chain", "draw", "value", "probability", *COLUMNS)
"""Names that labels can't have, because results are written to them."""


@dataclass(frozen=True)
class Made:
    """Draws (rows, draws) that are there already."""

    array: Floats

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.array)

    @property
    def size(self) -> int:
        """Number of draws."""
        return int(self.array.shape[1])

    @property
    def keys(self) -> list[NDArray[np.int64]]:
        """Every row is its own."""
        return [np.arange(self.n)]

    def values(self, rows: NDArray[np.intp]) -> Floats:
        """Values (rows, draws) in a new array."""
        return self.array[rows]


@explained
@dataclass(frozen=True, repr=False)
class Estimates:
    """Draws of estimates; intervals are taken from them last.

    Parameters
    ----------
    labels
        One row for each estimate: what it is an estimate of.
    source
        Its draws: an array, or a plan that makes them again for some rows at a time.
    chains
        Number of chains; the draws of a row are chains x draws, chain by chain.
    about
        How the estimates were made: verb, quantity, type, prior or posterior, `Fit.fingerprint` of
        the draws, and the columns of labels that were measured. Where effects of groups that the
        survey lacks were drawn, ``new_groups`` has for each grouping factor their ``share`` "of"
        the rows or the weight (the largest, of several predictions), the number of ``groups`` and
        the ``way``.
    summarised
        Centre and interval of tables, renderings and pictures, unless they are asked for others.
    """

    labels: pd.DataFrame
    source: RowDraws
    chains: int
    about: Mapping[str, Any] = field(default_factory=dict)
    summarised: Summary = DEFAULT

    def __len__(self) -> int:
        """Number of estimates."""
        return len(self.labels)

    @property
    def draws(self) -> xr.DataArray:
        """All draws, dims ``chain``, ``draw`` and one for the rows, labelled; read-only if kept.

        Rows of one label column have a dim of that name (``state``); rows of several have the dim
        ``estimate`` with the columns as coordinates. Draws too large to keep are made again each
        time; too large for the memory, they are refused. ArviZ summarises the array as it is, and
        plots it as a dataset, with the labels of the rows:
        ``arviz_plots.plot_forest(estimates.draws.to_dataset())``.
        """
        name = str(self.about.get("quantity", "estimate"))
        return layouts.array(self.labels, self._matrix(), self.chains, name)

    def _matrix(self) -> Floats:
        """Draws (rows, chains x draws)."""
        if isinstance(self.source, Made):
            return self.source.array
        return self.made_anew()

    def made_anew(self) -> Floats:
        """Draws (rows, chains x draws) in an array of one's own, if the memory holds them."""
        needed, free = 8 * len(self) * self.source.size, available()
        if needed > SHARE * free:
            raise RequestError(
                f"`draws` of {len(self):,} rows x {self.source.size:,} draws need "
                f"{needed / 2**30:.1f} GiB, got {free / 2**30:.1f} GiB free. Average with `by=`, "
                f"or use `to_frame()`, which works in blocks."
            )
        return values_of(self.source)

    @property
    def names(self) -> list[str]:
        """A name for each estimate: its labels in one string; ``b1`` where it has none."""
        return names_of(self.labels)

    def with_interval(
        self,
        *,
        center: Center | None = None,
        ci_kind: IntervalKind | None = None,
        ci_prob: Probabilities | None = None,
    ) -> Estimates:
        """The same estimates, shown with another centre or interval wherever they are shown.

        Parameters
        ----------
        center, ci_kind, ci_prob
            As in `to_frame`; what is left out stays as it is.

        Examples
        --------
        >>> import mrp
        >>> fit = mrp.testing.example_fit()
        >>> average = mrp.avg_predictions(fit)
        >>> str(average.with_interval(center="median", ci_prob=0.89)).splitlines()[-1]
        'average defund; median and 89% equal-tailed interval of 50 posterior draws'
        """
        return replace(self, summarised=self.summarised.but(center, ci_kind, ci_prob))

    @overload
    def to_frame(
        self,
        *,
        center: Center | None = ...,
        ci_kind: IntervalKind | None = ...,
        ci_prob: Probabilities | None = ...,
        backend: Literal["pandas"] = ...,
    ) -> pd.DataFrame: ...
    @overload
    def to_frame(
        self,
        *,
        center: Center | None = ...,
        ci_kind: IntervalKind | None = ...,
        ci_prob: Probabilities | None = ...,
        backend: Backend,
    ) -> Any: ...
    def to_frame(
        self,
        *,
        center: Center | None = None,
        ci_kind: IntervalKind | None = None,
        ci_prob: Probabilities | None = None,
        backend: Backend = "pandas",
    ) -> Any:
        """One row for each estimate: labels, then centre, spread and interval.

        Parameters
        ----------
        center
            "mean" or "median" of the draws.
        ci_kind
            "eti": equal-tailed, between the quantiles at ``(1 - ci_prob) / 2`` and
            ``(1 + ci_prob) / 2``; "hdi": the narrowest interval that holds a share `ci_prob` of the
            draws.
        ci_prob
            Probability of the interval; a list gives an interval for each.
        backend
            Library of the table: "pandas", "polars" or "pyarrow".

        Returns
        -------
        Columns of the labels, then ``estimate`` (the centre), ``std_error`` (standard deviation of
        the draws), ``conf_low`` and ``conf_high``. A list of probabilities has the bounds of each
        in its order, named by percent: ``conf_low_50``, ``conf_high_50``, ``conf_low_89.5``, ….
        What is not given is as `with_interval` has set it; at first the mean and the equal-tailed
        interval of 95%. ``attrs`` (pandas only) says which centre, kind and probability. The draws
        are averages already where the verb averages: no interval is ever averaged.

        Examples
        --------
        >>> import mrp
        >>> fit = mrp.testing.example_fit()
        >>> mrp.avg_predictions(fit).to_frame(ci_kind="hdi", ci_prob=[0.5, 0.9]).columns.tolist()
        ['estimate', 'std_error', 'conf_low_50', 'conf_high_50', 'conf_low_90', 'conf_high_90']
        """
        layouts.check_backend(backend)
        summary = self.summarised.but(center, ci_kind, ci_prob)
        return layouts.as_backend(self._table(np.arange(len(self)), summary), backend)

    def _table(self, rows: NDArray[np.intp], how: Summary) -> pd.DataFrame:
        results = self._reduced(
            rows,
            lambda values: summarise(values, how.ci_prob, center=how.center, ci_kind=how.ci_kind),
            how.columns,
        )
        table = beside(self.labels.iloc[rows], results)
        table.attrs.update(how.attrs)
        return table

    def _reduced(
        self,
        rows: NDArray[np.intp],
        reduce: Callable[[Floats], Floats],
        columns: Sequence[str],
    ) -> dict[str, Floats]:
        """Columns made from the draws of some rows, block by block.

        `reduce` takes draws (rows, draws), which it may overwrite, and returns (rows, columns).
        """
        result = np.empty((len(rows), len(columns)))
        order = np.argsort(rows % period_of(self.source), kind="stable")
        for chunk in chunks(len(rows), self.source.size):
            values = self.source.values(rows[order[chunk]])
            result[order[chunk]] = _in_parallel(reduce, values, len(columns))
        return dict(zip(columns, result.T, strict=True))

    def get_draws(self, shape: Shape = "long", *, backend: Backend = "pandas") -> Any:
        """The draws as a table or an array.

        Parameters
        ----------
        shape
            "long": a row for each estimate and draw, with columns ``chain``, ``draw``, the labels
            and ``value``; "wide": a row for each draw (index chain, draw), a column for each
            estimate; "transposed": a row for each estimate, a column for each draw; "xarray":
            `draws`.
        backend
            Library of the table: "pandas", "polars" or "pyarrow". Those without an index have
            columns ``chain`` and ``draw`` in a wide table, and in a transposed one a column
            ``estimate`` and columns ``"0, 0"``, ``"0, 1"``, … for chain and draw.

        Raises
        ------
        RequestError
            There is no such shape; the library is not installed.
        """
        layouts.check_shape(shape, backend)
        if shape == "xarray":
            return self.draws
        matrix = self._matrix()
        if shape == "long":
            check_fits(
                2 * matrix.nbytes * (3 + self.labels.shape[1]),  # also while it is put together
                f"a row for each of {matrix.size:,} draws of {len(self):,} estimates",
                "shape",
                "Ask for shape='wide', or for the draws of fewer estimates.",
            )
        return layouts.laid_out(self.labels, matrix, self.chains, shape, backend)

    def hypothesis(self, statement: Hypothesis) -> Estimates:
        """Estimates made of these, draw by draw, with their joint uncertainty.

        Parameters
        ----------
        statement
            Text: ``"b2 - b1 = 0"``, ``"b2 / b1 = 1"``, ``"log(b3)"``; its value is the left side
            minus the right one, if there is one. Rows are b1, b2, … or their names, in backquotes
            where they are no single word: ``"CA = TX"``, ``"`California, Man` - b1"``. Known are
            ``+ - * / **`` (or ``^``), abs, exp, log, logit, plogis and sqrt. A list of texts gives
            an estimate for each.

            Formula: ``"~ pairwise"`` (every later row against every earlier one), ``"~ reference"``
            (each against the first) or ``"~ sequential"`` (each against the one before);
            ``"~ revpairwise"`` and so on change the sign; ``"ratio ~ pairwise"`` divides;
            ``"~ pairwise | state"`` compares rows of equal state.

            Number: it is subtracted from every estimate.

            Function: takes the draws (rows, draws) and returns (draws,) or (k, draws).

        Returns
        -------
        Estimates labelled by ``hypothesis``. Contrasts of a formula name the rows by what tells
        them apart, as ``(Woman) - (Man)``, and keep the label columns that the rows of every pair
        share. Those less a number keep all their labels.

        Raises
        ------
        RequestError
            The statement does not parse, or names what is not there; its values are not finite;
            more than 100,000 pairs.

        Warns
        -----
        UserWarning
            A group has only one row, so that there is nothing to compare.

        Examples
        --------
        >>> import mrp
        >>> fit = mrp.testing.example_fit()
        >>> gender = mrp.avg_predictions(fit, by="gender")
        >>> gender.hypothesis("Woman / Man = 1").labels["hypothesis"].tolist()
        ['Woman / Man = 1']
        >>> gender.hypothesis("ratio ~ pairwise").labels["hypothesis"].tolist()
        ['(Woman) / (Man)']
        """
        from mrp.results.hypotheses import hypothesis

        return hypothesis(self.unmeasured(), statement)

    def unmeasured(self) -> Estimates:
        """The same estimates without the labels that say what was measured of each.

        Such labels, as those of `mrp.pp_check`, are of single estimates and not of contrasts.
        """
        if "measured" not in self.about:
            return self
        about = {name: said for name, said in self.about.items() if name != "measured"}
        labels = self.labels.drop(columns=list(self.about["measured"]))
        return replace(self, labels=labels, about=about)

    def probability(self, statement: str) -> pd.DataFrame:
        """Share of the draws for which a statement holds.

        Parameters
        ----------
        statement
            Such as ``"> 0.4"`` or ``"<= 0"``.

        Returns
        -------
        The labels and a column ``probability``, which is missing where draws are no numbers.
        """
        return self._shares({"probability": comparison(statement)})

    def direction(self) -> pd.DataFrame:
        """Probability of direction: share of the draws that have the sign of their median.

        Returns
        -------
        The labels, ``direction`` ("+" or "-") and ``probability``: the larger of the shares of
        draws above and below zero ("+" where they are equal). It is 0.5 to 1, or less where draws
        are exactly zero. Both are missing where draws are no numbers.

        References
        ----------
        Makowski, Ben-Shachar, Chen and Lüdecke (2019), doi:10.3389/fpsyg.2019.02767.
        """
        events = {"direction": comparison("> 0"), "probability": comparison("< 0")}
        table = self._shares(events)
        above, below = (table[name].to_numpy() for name in events)
        sign = pd.Series(np.where(above >= below, "+", "-")).mask(np.isnan(above))
        return table.assign(direction=sign, probability=np.maximum(above, below))

    def equivalence(self, bounds: Sequence[float]) -> pd.DataFrame:
        """Shares of the draws below, inside and above a region of practical equivalence.

        Parameters
        ----------
        bounds
            ``[low, high]``, which both belong to the region; either may be infinite.

        Returns
        -------
        The labels, ``below`` (share of draws < low), ``inside`` (low <= draws <= high) and
        ``above`` (draws > high), which sum to 1, or are missing where draws are no numbers.

        References
        ----------
        Kruschke (2018), doi:10.1177/2515245918771304.
        """
        below, inside, above = region(bounds)
        return self._shares({"below": below, "inside": inside, "above": above})

    def _shares(self, events: Mapping[str, Event]) -> pd.DataFrame:
        """The labels, and for each event the share of the draws for which it holds."""
        holding = list(events.values())
        every = np.arange(len(self))
        results = self._reduced(every, lambda values: shares(values, holding), list(events))
        return beside(self.labels, results)

    def diagnostics(self) -> pd.DataFrame:
        """Whether the draws of each estimate can be trusted: chains that agree, and say enough.

        Parameters of a model may mix badly where what is estimated does not: an intercept and the
        mean of a factor's effects, of which the survey says only the sum. So this asks the
        estimates themselves, by the limits that `Fit.diagnostics` has for parameters.

        Returns
        -------
        The labels, then ``rhat`` (limit 1.01), ``ess_bulk`` and ``ess_tail`` (effective sample size
        in the bulk, and of the quantiles at 5% and 95%; limit 100 per chain), ``ok`` (whether all
        limits are met; missing where that can't be said) and ``advice`` (empty where all is well;
        why not, where there is no number). Draws from the prior, which are independent of each
        other, have no numbers; one chain has no R-hat; draws that are not finite, or all the same,
        have none. Where estimates of a prior and a posterior are in one table (`mrp.concat`), all
        rows have numbers. It works in blocks, and takes about a millisecond for each estimate of
        4,000 draws.

        Numbers are those of ``arviz_stats.rhat`` and ``arviz_stats.ess``.

        Raises
        ------
        RequestError
            A label has the name of one of these columns.

        References
        ----------
        Vehtari, Gelman, Simpson, Carpenter and Bürkner (2021), doi:10.1214/20-BA1221.

        Examples
        --------
        >>> import mrp
        >>> gender = mrp.avg_predictions(mrp.testing.example_fit(), by="gender")
        >>> gender.diagnostics().columns.tolist()
        ['gender', 'rhat', 'ess_bulk', 'ess_tail', 'ok', 'advice']
        """
        from mrp.checks.averages import COLUMNS as CHECKED
        from mrp.checks.averages import NUMBERS, judged
        from mrp.checks.convergence import of_rows

        check_free(self.labels.columns, CHECKED)
        of_prior = self.about.get("group") == "prior"
        if of_prior:
            numbers = dict.fromkeys(NUMBERS, np.full(len(self), np.nan))
        else:
            numbers = self._reduced(
                np.arange(len(self)), lambda values: of_rows(values, self.chains), NUMBERS
            )
        return beside(self.labels, judged(numbers, self.chains, of_prior=of_prior))

    def plot(self, kind: PlotKind = "interval", **options: Any) -> Axes:
        """A picture with one row for each estimate.

        Parameters
        ----------
        kind
            "interval": centres and intervals (`mrp.plots.figures.intervals`); "ridge": densities
            of the draws (`mrp.plots.figures.ridges`).
        options
            Of that function: `color`, `sort`, `title`, `ax`; `ci_prob` and `reference` of
            intervals; `height` of ridges. Of `mrp.pp_check` groups keep their order unless
            ``sort=True``, and what was observed is shown as points.

        Returns
        -------
        The matplotlib Axes.
        """
        if kind not in get_args(PlotKind):
            raise RequestError(unknown("kind", "name a picture", kind, get_args(PlotKind)))
        from mrp.plots import checks, figures

        if "measured" in self.about:
            return (checks.intervals if kind == "interval" else checks.ridges)(self, **options)
        draw = figures.intervals if kind == "interval" else figures.ridges
        return draw(self, **options)

    def __repr__(self) -> str:
        """The table, and below it what it is."""
        shown = self._shown()
        return "\n".join([shown.to_string(index=False), self._caption(), *self._notes(shown)])

    def _repr_html_(self) -> str:
        shown = self._shown()
        said = [self._caption(), *self._notes(shown)]
        below = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in said)
        return f"{shown.to_html(index=False, border=0)}{below}"

    def _shown(self) -> pd.DataFrame:
        """The table as it is shown: rounded, a long one in part, texts with nothing that acts."""
        return as_text(self._rounded())

    def _rounded(self) -> pd.DataFrame:
        how = self.summarised
        if len(self) <= 6 * SHOWN_ROWS:
            return _formatted(self._table(np.arange(len(self)), how), how.columns)
        ends = np.r_[0:SHOWN_ROWS, len(self) - SHOWN_ROWS : len(self)]
        table = _formatted(self._table(ends, how), how.columns)
        for name in table.select_dtypes("float64").columns:
            table[name] = [f"{value:.6g}" for value in table[name]]
        table = table.astype(str)
        gap = pd.DataFrame([["…"] * table.shape[1]], columns=table.columns)
        return pd.concat([table[:SHOWN_ROWS], gap, table[SHOWN_ROWS:]])

    def _caption(self) -> str:
        what = shown_text(str(self.about.get("quantity", "estimates")))
        how = f"{len(self):,} x {what}; " if len(self) > 6 * SHOWN_ROWS else f"{what}; "
        group = self.about.get("group", "posterior")
        return f"{how}{self.summarised} of {self.source.size:,} {group} draws"

    def _notes(self, shown: pd.DataFrame) -> list[str]:
        """What a reader of the table should know: groups that were drawn, numbers that are none."""
        notes = said_of_new_groups(self.about)
        if (shown["estimate"] == "nan").any():
            notes.append("nan: draws that are no numbers, such as 0 / 0")
        return notes


def said_of_new_groups(about: Mapping[str, Any]) -> list[str]:
    """A line for each grouping factor that says how much of the estimates was drawn anew."""
    lines = []
    for factor, drawn in about.get("new_groups", {}).items():
        groups = "1 group" if drawn["groups"] == 1 else f"{drawn['groups']:,} groups"
        share = f"{drawn['share']:.1%} of the {drawn['of']}"
        lines.append(f"drawn anew ({drawn['way']}): {groups} of {factor!r}, {share}")
    return lines


def estimates(
    labels: pd.DataFrame, source: RowDraws, chains: int, about: Mapping[str, Any]
) -> Estimates:
    """Estimates whose draws are made now if they are small, and on request if not."""
    if not isinstance(source, Made) and 8 * source.n * source.size <= KEPT_BYTES:
        source = Made(values_of(source))
    if isinstance(source, Made):
        source.array.flags.writeable = False
    return Estimates(labels.reset_index(drop=True), source, chains, about)


def _in_parallel(reduce: Callable[[Floats], Floats], values: Floats, columns: int) -> Floats:
    """Columns made of draws (rows, draws), which are overwritten."""
    result = np.empty((len(values), columns))

    def fill(block: slice) -> None:
        result[block] = reduce(values[block])

    for _ in in_blocks(fill, *values.shape):
        pass
    return result


class Keeping:
    """Makes quantities at once as long as all of them together are small; others on request."""

    def __init__(self) -> None:
        self._left = KEPT_BYTES

    def __call__(self, quantity: RowDraws) -> RowDraws:
        """The quantity with its draws, or as it is."""
        needed = 8 * quantity.n * quantity.size
        if needed > self._left:
            return quantity
        self._left -= needed
        return Made(quantity.values(np.arange(quantity.n)))


def as_text(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose texts and names of columns hold nothing that acts on a screen."""
    names = [shown_text(name) if isinstance(name, str) else name for name in table.columns]
    table = table.set_axis(names, axis=1)
    return table.map(lambda value: shown_text(value) if isinstance(value, str) else value)


def _formatted(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The table with the decimals that show two digits of the typical standard error."""
    errors = table["std_error"].to_numpy()
    positive = errors[np.isfinite(errors) & (errors > 0)]
    typical = float(np.median(positive)) if len(positive) else 0.01
    digits = 2 - int(np.ceil(np.log10(typical)))
    decimals = min(max(digits, 3 if typical < 1 else 0), MOST_DECIMALS)
    shown = table.copy()
    for name in columns:
        shown[name] = [f"{value:.{decimals}f}" for value in table[name]]
    return shown
