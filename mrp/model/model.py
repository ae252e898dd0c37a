"""`Model`: formula, survey, family and priors, ready to be sampled."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd
from xarray import DataTree

from mrp import saved_fits
from mrp.arguments import explained
from mrp.checks.diagnostics import measure
from mrp.design import Categorical, Design
from mrp.errors import FormulaError, RequestError, said, unknown
from mrp.fit import Fit
from mrp.formula.functions import SHORT
from mrp.frames import as_pandas, in_rows, snapshot, warn_of_lookalikes
from mrp.levels import LevelParameters, level_parameters
from mrp.links import Link
from mrp.model import graph, prior_draws, prior_table, sampling, sizes
from mrp.model.collapse import Observed, observe
from mrp.model.columns import Levels, levels_given, with_levels
from mrp.model.families import FamilyName, check_outcome, check_said, find
from mrp.model.formula import columns_used, learn
from mrp.model.log_prior import log_prior
from mrp.model.names import check_names
from mrp.model.outcome import Outcome, outcome_values, survey_with
from mrp.model.prior_defaults import Defaults, Priors
from mrp.model.prior_resolution import resolve
from mrp.model.priors import PriorChoices, choices_of

if TYPE_CHECKING:
    import bambi
    import pymc as pm
    from matplotlib.axes import Axes

    from mrp.model.kernel.layout import Packed

Engine = Literal["auto", "kernel", "pymc"]
_BUILT = ("pymc", "bambi", "_packed")
"""What a model builds when it is asked for, of its outcome and priors."""


@explained
class Model:
    """A multilevel regression model.

    Parameters
    ----------
    formula
        A Bambi formula, such as ``"y ~ age + x + (1 + x | state)"``. The outcome is a column of
        0/1 (bernoulli), ``p(successes, trials)`` (binomial), a count, a measurement, or one of
        several levels (categorical, cumulative, sratio); a level of a categorical is written
        ``y[yes]``. ``(x || g)`` makes effects independent.
    data
        The survey, one row for each respondent: a pandas, polars or pyarrow table. The model keeps
        a copy. The levels of a pandas categorical keep their order, and so do those of a polars
        Enum and of an ordered dictionary of arrow; the first is the reference. Strings, and
        categories of other types, are sorted. For an outcome whose levels have an order, only an
        ordered categorical (or Enum, or dictionary), numbers and `levels` say it. Levels that no
        respondent has are left out, of the outcome too. Missing values are an error.
    family
        "bernoulli", "binomial", "gaussian", "poisson" or "negativebinomial"; for an outcome with
        several levels "categorical", or "cumulative" or "sratio" (stopping ratio) where they have
        an order. "categorical" has a linear predictor for each level but the first; the other two
        have one, and thresholds in place of the intercept. By default "gaussian", unless the
        outcome is 0 or 1 throughout: then it must be named.
    link
        Link function; the family's usual one by default.
    priors
        "bambi" (default) or "brms" for their default priors, or what `mrp.priors` makes; a mapping
        is passed on to it: ``{"b": "normal(0, 1)"}`` is ``mrp.priors(b="normal(0, 1)")``.
        `prior_summary` and `plot_priors` show the outcome.
    correlated
        Whether the effects within one ``( … | g)`` are correlated.
    collapse
        Whether equal respondents are counted once. The posterior is the same either way.
    center_predictors
        Whether the prior of the intercept, or of the thresholds, is on their value at the mean of
        all predictors, as in brms and Bambi; False puts it on their value where all predictors
        are zero (and categoricals at their reference). Draws are of the latter either way.
    namespace
        Functions that the formula may call, by name.
    levels
        For some columns of the formula, outcome or predictors, all their levels in order: of an
        ordered outcome the lowest first, of a predictor its reference. The column then counts as an
        ordered categorical of these levels, whatever its type, numbers too.

    Raises
    ------
    FormulaError, DataError, PriorError, RequestError
        Before anything is computed.

    Warns
    -----
    FrameWarning
        Levels of a column differ only by blanks, case or Unicode normalisation.

    Examples
    --------
    >>> import mrp
    >>> survey = mrp.load_dataset("simulated_survey")
    >>> mrp.Model("defund ~ age + (1 | state)", survey, family="bernoulli")
    Model: defund ~ age + (1 | state)
    family bernoulli, link logit; 3000 respondents in 270 distinct rows

    Texts that have an order, one column as the outcome and one as a predictor:

    >>> import pandas as pd
    >>> answers = pd.DataFrame({"trust": ["low", "high", "mid"], "size": ["small", "big", "small"]})
    >>> levels = {"trust": ["low", "mid", "high"], "size": ["small", "big"]}
    >>> model = mrp.Model("trust ~ size", answers, family="cumulative", levels=levels)
    >>> model.outcome.levels, model.design.terms[0].labels
    (('low', 'mid', 'high'), ('size[big]',))
    """

    def __init__(
        self,
        formula: str,
        data: Any,
        *,
        family: FamilyName | None = None,
        link: Link | None = None,
        priors: PriorChoices | Defaults | Mapping[str, Any] | None = None,
        correlated: bool = True,
        collapse: bool = True,
        center_predictors: bool = True,
        namespace: Mapping[str, Any] | None = None,
        levels: Levels | None = None,
    ) -> None:
        self._said = family
        self._family, self._link = find("gaussian" if family is None else family, link)
        sampling.check_flags(
            correlated=correlated, collapse=collapse, center_predictors=center_predictors
        )
        self._namespace = dict(namespace or {})
        self._levels = levels_given({} if levels is None else levels)
        self._survey = self._with_levels(formula, snapshot(as_pandas(data, "data")))
        self._asked, self._correlated, self._collapse = choices_of(priors), correlated, collapse
        self._center_predictors = center_predictors
        self._design, self._outcome = learn(
            formula,
            self._survey,
            correlated=correlated,
            namespace=self._namespace,
            levels=self._family.levels,
        )
        check_names(self._design, self._outcome, self._family, self.by_level)
        saved_fits.check_savable(self._design, self._survey)
        self._rows = self._design.rows(self._survey, argument="data")
        self._observe()
        self._scale_priors()
        self._warn_of_lookalikes()

    def _with_levels(self, formula: str, survey: pd.DataFrame) -> pd.DataFrame:
        """The survey with the levels that were given."""
        if not self._levels:
            return survey
        outcome, predictors = columns_used(formula, survey, self._namespace)
        for name in self._levels:
            if name in outcome and name not in predictors and self._family.levels is None:
                raise RequestError(
                    f"`levels` must name predictors where the family's outcome has no levels, as "
                    f"of {self.family!r}, got {name!r}. Leave it out, or pass family='cumulative', "
                    f"'sratio' or 'categorical'."
                )
        return with_levels(survey, self._levels, dict.fromkeys([*outcome, *predictors]))

    def _warn_of_lookalikes(self) -> None:
        columns = {
            component.source: component.levels
            for component in self._design.components.values()
            if isinstance(component, Categorical)
        }
        if self._outcome.levels is not None:
            columns[self._outcome.name] = self._outcome.levels
        warn_of_lookalikes(columns, "data")

    def _observe(self) -> None:
        """Collect the outcome by design row."""
        if self._said is None:
            check_said(self._outcome)
        check_outcome(self._family, self._outcome)
        self._observed = observe(self._rows, self._outcome, self._family, collapse=self._collapse)

    def _scale_priors(self) -> None:
        """Give every parameter its prior; some defaults are scaled by the outcome."""
        self._priors = resolve(
            self._asked,
            self._design,
            self._observed,
            self._outcome,
            self._family,
            self._link,
            centered=self._center_predictors,
        )

    def __getstate__(self) -> dict[str, Any]:
        """All but what was built when it was asked for: a copy builds it again."""
        return {name: value for name, value in vars(self).items() if name not in _BUILT}

    def with_outcome(self, values: Any, *, keep_priors: bool = False) -> Model:
        """The same model of another outcome of the same respondents.

        Design rows are used again, so that refits (of simulated outcomes, or of several questions
        of one survey) cost little more than sampling. The survey has the new outcome in its column,
        or the successes in theirs. Where the formula computes the outcome (``log(y)``) or names a
        level (``y[yes]``), the column stays as it is: what is new does not say what it would be.

        Parameters
        ----------
        values
            Outcome of each respondent (n,): 0/1, successes, counts, measurements or levels; a
            Series by the index of the survey, anything else in the survey's order. Trials stay as
            they are, and so do the levels.
        keep_priors
            Whether priors stay what they are. The default priors of counts and measurements are
            otherwise scaled by the new outcome, as for any new question; for outcomes that were
            simulated from this model's priors they should stay.

        Raises
        ------
        DataError
            The values are not one for each respondent, or not ones that the family can produce;
            or a Series has another index than the survey.

        Examples
        --------
        >>> import mrp
        >>> survey = mrp.load_dataset("simulated_survey")
        >>> model = mrp.Model("defund ~ age + (1 | state)", survey, family="bernoulli")
        >>> model.with_outcome(1 - survey["defund"]).outcome.values[:5]
        array([0., 1., 1., 0., 1.])
        """
        values = in_rows(values, self._survey, "values", "data")
        outcome = replace(self._outcome, values=outcome_values(values, self._outcome))
        other = copy.copy(self)
        other._outcome = outcome
        other._survey = survey_with(self._survey, self.formula, outcome)
        other._observe()
        if not keep_priors:
            other._scale_priors()
        return other

    def with_data(self, data: Any) -> Model:
        """The same formula, family and priors for another survey; levels are learned from it.

        Levels that were given as `levels` stay. Where no family was named, the other survey's
        outcome must do without, too.
        """
        return Model(
            self.formula,
            data,
            family=self._said,
            link=self._link,
            priors=self._asked,
            correlated=self._correlated,
            collapse=self._collapse,
            center_predictors=self._center_predictors,
            namespace=self._namespace,
            levels=self._levels,
        )

    @property
    def formula(self) -> str:
        """The formula as it was written."""
        return self._design.formula

    @property
    def family(self) -> str:
        """Name of the outcome's family."""
        return self._family.name

    @property
    def link(self) -> Link:
        """Name of the link function."""
        return self._link

    @property
    def survey(self) -> pd.DataFrame:
        """The survey as a pandas table: a copy, as it was when the model was made."""
        return self._survey.copy(deep=False)

    @property
    def design(self) -> Design:
        """What the formula learned from the survey."""
        return self._design

    @property
    def outcome(self) -> Outcome:
        """The outcome of each respondent."""
        return self._outcome

    @property
    def by_level(self) -> LevelParameters:
        """Names of the parameters that levels of the outcome have."""
        return level_parameters(self.family, self._outcome.name, self._outcome.levels)

    @property
    def observed(self) -> Observed:
        """The outcome by distinct design row, as the likelihood uses it."""
        return self._observed

    @property
    def priors(self) -> Priors:
        """The prior of every parameter."""
        return self._priors

    def prior_summary(self) -> pd.DataFrame:
        """The prior of every parameter, and where it comes from.

        Returns
        -------
        A row for each ``parameter``: the intercept or the thresholds, the slopes, the sd's and the
        correlations of group-specific effects (one row for all of a bracket), and the family's own.
        ``prior`` is its prior as it is written; ``source`` is what that was given under ("b",
        "age", "gender[Woman]", "sd(state)"), or whose default it is; defaults are written with
        four digits. Coefficients that every level of an unordered outcome has are in one row.
        ``note`` is "centred" for an intercept or thresholds whose prior is that of centred
        predictors.

        Examples
        --------
        >>> import mrp
        >>> survey = mrp.load_dataset("simulated_survey")
        >>> priors = mrp.priors(b="normal(0, 0.2)", sd={"state": "exponential(2)"})
        >>> formula = "defund ~ military + (1 | state)"
        >>> mrp.Model(formula, survey, family="bernoulli", priors=priors).prior_summary()
                       parameter           prior     note         source
        0              Intercept  normal(0, 1.5)  centred  bambi default
        1               military  normal(0, 0.2)                       b
        2  sd(Intercept | state)  exponential(2)               sd(state)
        """
        return prior_table.summary(self._priors, self._design)

    def plot_priors(self) -> list[Axes]:
        """Pictures of the densities of the priors, a panel for each distinct one.

        Returns
        -------
        The matplotlib Axes, in the order of `prior_summary`: titled by the parameters that have
        the prior, which is written below. A panel shows the central 99% of the prior, without tails
        where the density is less than a hundredth of its peak. A flat prior has no density.

        Examples
        --------
        >>> import mrp
        >>> survey = mrp.load_dataset("simulated_survey")
        >>> model = mrp.Model("defund ~ military + (1 | state)", survey, family="bernoulli")
        >>> [ax.get_xlabel() for ax in model.plot_priors()][0]
        'normal(0, 1.5)'
        """
        from mrp.plots import priors

        return priors.draw(priors.panels(prior_table.rows(self._priors, self._design)))

    @cached_property
    def pymc(self) -> pm.Model:
        """The model as a PyMC model; built when first asked for."""
        parts = (self._design, self._observed, self._priors, self._family, self._link)
        return graph.build(*parts, self.by_level)

    @cached_property
    def bambi(self) -> bambi.Model:
        """The same formula and survey as a Bambi model, with Bambi's default priors.

        It is there to compare with, and for what Bambi can do and this package can't. Its
        group-specific effects are independent.
        """
        import bambi

        if "||" in self.formula:
            raise FormulaError(
                f"`bambi` reads no '||', got {self.formula!r}. Write '|': Bambi's effects are "
                f"independent anyway."
            )
        ordered = {
            str(name): column.cat.remove_unused_categories().cat.as_ordered()
            for name, column in self._survey.items()
            if isinstance(column.dtype, pd.CategoricalDtype)
        }
        if self._outcome.levels is not None and self._outcome.name in self._survey.columns:
            ordered[self._outcome.name] = self._outcome.as_column()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The intercept is omitted in ordinal families")
            return bambi.Model(
                self.formula,
                self._survey.assign(**ordered),
                family=self.family,
                link="softmax" if self.family == "categorical" else self._link,
                center_predictors=self._center_predictors,
                extra_namespace={"np": np, **{n: getattr(np, n) for n in SHORT}, **self._namespace},
            )

    def sample(
        self,
        *,
        draws: int = 1000,
        tune: int = 500,
        chains: int = 4,
        seed: int | None = None,
        target_accept: float | None = None,
        engine: Engine = "auto",
        progress: bool = True,
    ) -> Fit:
        """Draw from the posterior with nutpie's No-U-Turn sampler.

        Parameters
        ----------
        draws, tune
            Draws kept and discarded per chain, 1 or more. What the memory can't hold is refused.
            Tuning finds a step size and scales; the geometry comes from the data before it.
        chains
            Number of chains, at most 1,000, run in parallel where there are cores.
        seed
            Whole number below 2**128; makes the run repeatable on the same machine and versions.
        target_accept
            Target acceptance rate of the step size adaptation. By default 0.92, and 0.8 for models
            of more than 1,000 parameters, whose steps are short as it is.
        engine
            What computes the log density: "kernel" (compiled once for all models, starts at once),
            "pymc" (the graph of `Model.pymc`, compiled for each model); "auto" takes the kernel
            where the installed nutpie can run it, and says so once where it can't. The posterior
            is the same; ``fit.info["engine"]`` says which ran.
        progress
            Whether to show progress, in a terminal or a notebook.

        Returns
        -------
        The posterior draws. A check that fails (`Fit.diagnostics` lists them) gives one
        `SamplingWarning`. Where R-hat or an effective sample size of parameters does, it says
        whether the survey's average and those of the groups of each grouping factor are affected,
        and ``fit.info["averages"]`` has what was found. Interrupted (Ctrl-C, the stop button), it
        keeps the chains and draws that make most of the run and says how many.
        """
        sampling.check_sizes(draws=draws, tune=tune, chains=chains)
        numbers = sizes.parameters(self._design, self.by_level)
        target = sampling.target_of(target_accept, numbers)
        sampling.check_seed(seed)
        sampling.check_flags(progress=progress)
        if not isinstance(engine, str) or engine not in get_args(Engine):
            raise RequestError(
                unknown("engine", "name what computes the log density", engine, get_args(Engine))
            )
        draws, tune, chains = int(draws), int(tune), int(chains)
        seed = None if seed is None else int(seed)
        sizes.check_run_fits(numbers, draws=draws, tune=tune, chains=chains)
        started = time.perf_counter()
        run = sampling.Run(draws, tune, chains, seed, target, progress)
        tree, engine = self._drawn(run, engine)
        tree["log_prior"] = DataTree(log_prior(tree["posterior"].to_dataset(), *self._prior_parts))
        seconds = time.perf_counter() - started
        report = measure(tree)
        info = {"engine": engine, "seconds": seconds, "seed": seed, **report}
        fit = self._fit(tree, info)
        of_averages = sampling.averages_of(fit)
        sampling.warn_if_bad(report, tree["posterior"].sizes["chain"], of_averages)
        return fit if of_averages is None else replace(fit, info=info | {"averages": of_averages})

    def _drawn(self, run: sampling.Run, engine: Engine) -> tuple[DataTree, Engine]:
        """Draws, and what computed their density: the kernel, if it is wanted and can be used."""
        if engine != "pymc":
            try:
                sampling.check_kernel()
                self._warn_if_separated()
                parts = (self._packed, self._design, self._family, self.by_level)
                return sampling.run_kernel(*parts, run), "kernel"
            except sampling.InterfaceError as error:
                if engine == "kernel":
                    raise sampling.no_kernel(error) from error
                sampling.warn_of_graph(error)
        keep = graph.variables(self._design, self._family)
        return sampling.run_graph(self.pymc, run, keep=keep), "pymc"

    def _warn_if_separated(self) -> None:
        at = self._packed.geometry.unsettled
        first = self.by_level.thresholds
        of_probabilities = self.family in ("bernoulli", "binomial") or self._family.levels
        if at is not None and at >= first and of_probabilities:
            named = [(label, term.name) for term in self._design.terms for label in term.labels]
            sampling.warn_if_separated(*named[(at - first) % len(named)])

    @property
    def _prior_parts(self) -> tuple[Design, Observed, Priors, LevelParameters]:
        """What the density of the priors takes, after the parameters."""
        return self._design, self._observed, self._priors, self.by_level

    @cached_property
    def _packed(self) -> Packed:
        """The model as the kernel reads it, in a geometry that is easy to sample."""
        from mrp.model.kernel import geometry, layout

        parts = (self._design, self._observed, self._priors, self._family, self._link)
        with np.errstate(all="ignore"):  # what is infinite there is said when sampling starts
            chosen = geometry.choose(*parts, self.by_level)
        return layout.pack(*parts, chosen, self.by_level)

    def sample_prior(self, *, draws: int = 4000, seed: int | None = None) -> Fit:
        """Draw from the prior alone: every verb then answers for the prior.

        Parameters
        ----------
        draws
            Number of draws; they are independent.
        seed
            Makes the draws repeatable.

        Raises
        ------
        PriorError
            A prior is flat, so that there is nothing to draw from, or so wide that draws are
            infinite.
        """
        sampling.check_sizes(draws=draws)
        sampling.check_seed(seed)
        draws, seed = int(draws), None if seed is None else int(seed)
        sizes.check_prior_fits(sizes.parameters(self._design, self.by_level), draws)
        prior_draws.check_proper(self._priors, self._design, self._asked.defaults)
        parts = (self._design, self._observed, self._priors, self.by_level)
        dataset = prior_draws.draw(*parts, draws=draws, seed=seed)
        return self._fit(dataset, {"engine": "forward", "seed": seed})

    def _fit(self, draws: Any, info: Mapping[str, Any]) -> Fit:
        return Fit(
            draws=draws,
            design=self._design,
            family=self._family.name,
            link=self._link,
            outcome=self._outcome.name,
            survey=self._survey,
            info=dict(info),
            levels=self._outcome.levels,
            observed=self._outcome,
            priors=self.prior_summary(),
        )

    def __repr__(self) -> str:
        """Formula, family and size."""
        rows, respondents = len(self._observed.rows), self._observed.respondents
        return (
            f"Model: {said(self.formula)}\n"
            f"family {self.family}, link {self._link}; "
            f"{respondents} respondents in {rows} distinct rows"
        )
