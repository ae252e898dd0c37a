"""`Fit`: draws of a model's parameters, with what is needed to predict from them.

A fit holds no PyMC and no Bambi object. Saved, it is one netCDF file; loaded, it answers every
verb without PyMC.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from mrp import coefficients
from mrp.arguments import explained
from mrp.coefficients import Coefficients
from mrp.design import Design, Level, Term, variable_name
from mrp.errors import DataError, FitError, RequestError, listing, said
from mrp.levels import level_parameters
from mrp.links import Link

if TYPE_CHECKING:
    from mrp.checks.cross_validation import ELPDDataLOO
    from mrp.checks.summary import FitSummary
    from mrp.model import Model
    from mrp.model.outcome import Outcome
    from mrp.results.estimates import Estimates

RESPONDENT = "respondent"
"""Dim of the respondents, numbered in the survey's order."""
LOG_PRIOR = "log_prior"
"""Group of a fit's draws that has the log density of the priors."""
FINGERPRINTED = 16
"""Draws of each chain, evenly spaced, that a fingerprint is made of."""


class _Survey:
    """A field that hands out copies: a fit's survey stays what it was fitted to."""

    def __get__(self, fit: Fit | None, owner: type) -> pd.DataFrame | None:
        if fit is None:
            raise AttributeError  # the field has no default
        survey: pd.DataFrame | None = vars(fit)["survey"]
        return None if survey is None else survey.copy(deep=False)

    def __set__(self, fit: Fit, survey: pd.DataFrame | None) -> None:
        vars(fit)["survey"] = None if survey is None else survey.copy(deep=False)


@explained
@dataclass(frozen=True, repr=False)
class Fit:
    """Draws from the prior or posterior of a model.

    Parameters
    ----------
    draws
        A tree with the group ``posterior`` or ``prior`` (dims chain and draw first), and
        ``sample_stats`` where a sampler ran, ``log_prior`` where every parameter is there. ArviZ's
        functions take it.
    design
        What the formula learned from the survey.
    family, link
        The outcome's distribution and link function.
    outcome
        Name of the outcome.
    survey
        The survey as the model was given it (a copy: writing to it leaves the fit as it is); None
        if it was left out of a saved file.
    info
        How the draws were made: engine, seed, seconds, diagnostics. Where R-hat or effective sample
        sizes of parameters were beyond their limits, ``averages`` has those of the averages over
        the survey.
    levels
        Levels of the outcome in order; None where its family has none.
    observed
        The outcome of each respondent; None without the survey.
    priors
        The table that `prior_summary` gives; None in files of older versions.
    """

    draws: xr.DataTree
    design: Design
    family: str
    link: Link
    outcome: str
    survey: _Survey = _Survey()
    info: Mapping[str, Any] = field(default_factory=dict)
    levels: tuple[Level, ...] | None = None
    observed: Outcome | None = None
    priors: pd.DataFrame | None = None

    @classmethod
    def from_draws(cls, model: Model, draws: xr.Dataset | xr.DataTree) -> Fit:
        """A fit from draws that were made elsewhere.

        Parameters
        ----------
        model
            The model that they are draws of, with the same priors if `mrp.sensitivity` is to be
            asked.
        draws
            A dataset, or a tree with a group ``posterior``, with dims chain and draw and variables
            named as Bambi names them; any others are kept and ignored. The fit copies them.
            `Intercept` is that of the predictors as they are, not centred. A slash in names, as in
            ``I(x / 2)``, becomes a division slash, which xarray takes; double quotes become single
            ones.

        Returns
        -------
        The fit. Where the draws have every parameter that has a prior, it has the group
        ``log_prior``, which `mrp.sensitivity` takes: the log density of the model's priors, unless
        the tree has such a group already.

        Raises
        ------
        DataError
            A variable, dim or label is missing.
        """
        from mrp.checks.parameters import log_prior_of

        if isinstance(draws, xr.Dataset):
            own = _named_as_here(draws, model.design).copy(deep=True)
            tree = xr.DataTree.from_dict({"posterior": own})
        elif isinstance(draws, xr.DataTree) and "posterior" in draws.children:
            tree = draws.copy(deep=True)
        else:
            got = type(draws).__name__
            if isinstance(draws, xr.DataTree):
                got += f" with the groups {listing(draws.children)}"
            raise DataError(
                f"`draws` must be an xarray Dataset or a DataTree with the group 'posterior', "
                f"got {got}. Convert them with arviz.from_dict, or pass one group's dataset."
            )
        fit = cls(
            draws=tree,
            design=model.design,
            family=model.family,
            link=model.link,
            outcome=model.outcome.name,
            survey=model.survey,
            info={"engine": "from_draws"},
            levels=model.outcome.levels,
            observed=model.outcome,
            priors=model.prior_summary(),
        )
        fit.coefficients  # noqa: B018 - checks the names and dims now
        density = None if LOG_PRIOR in tree.children else log_prior_of(fit, model)
        if density is not None:
            tree[LOG_PRIOR] = xr.DataTree(density)
        return fit

    @property
    def group(self) -> str:
        """Name of the group that holds the draws: posterior or prior."""
        return "posterior" if "posterior" in self.draws.children else "prior"

    @property
    def parameters(self) -> xr.Dataset:
        """The draws of the parameters, dims chain and draw first."""
        return self.draws[self.group].to_dataset()

    @cached_property
    def fingerprint(self) -> str:
        """A text that tells these draws from others.

        It is the same for a fit that is loaded, and whatever the order of variables, dims and
        labels. It is made of some draws of every chain: no two fits share them.
        """
        digest, count = hashlib.blake2b(digest_size=16), self.parameters.sizes["draw"]
        some = self.parameters.isel(draw=np.linspace(0, count - 1, FINGERPRINTED).astype(int))
        for name in sorted(map(str, some.data_vars)):
            array = _sorted(some[name])
            if array.dtype.kind in "biuf":
                digest.update(name.encode())
                digest.update(np.ascontiguousarray(array))
        return digest.hexdigest()

    def auxiliary(self, name: str, needed_by: str, advice: str = "") -> NDArray[np.float64]:
        """Draws (draws,) of the family's parameter besides the mean, for something that needs it.

        Parameters
        ----------
        name
            "sigma" or "alpha".
        needed_by, advice
            What the message begins and ends with where the draws, made elsewhere, lack it.
        """
        if name not in self.parameters:
            raise FitError(
                f"{needed_by} needs draws of {name!r}, which this fit lacks. "
                f"Available: {listing(self.parameters.data_vars)}. {advice}".rstrip()
            )
        draws: NDArray[np.float64] = self.parameters[name].transpose("chain", "draw").to_numpy()
        return draws.ravel()

    @cached_property
    def coefficients(self) -> Coefficients:
        """The draws of the coefficients, arranged for prediction."""
        by_level = level_parameters(self.family, self.outcome, self.levels)
        return coefficients.read(self.design, self.parameters, by_level)

    def prior_summary(self) -> pd.DataFrame:
        """The priors of the model that was fitted.

        Returns
        -------
        The table of `Model.prior_summary`: parameter, prior, note, source.

        Raises
        ------
        FitError
            The fit was saved by a version that kept no priors.

        Examples
        --------
        >>> import mrp
        >>> survey = mrp.load_dataset("simulated_survey")
        >>> model = mrp.Model("defund ~ military", survey, family="bernoulli")
        >>> model.sample_prior(draws=2, seed=1).prior_summary()["prior"].tolist()
        ['normal(0, 1.5)', 'normal(0, 2.015)']
        """
        if self.priors is None:
            raise FitError(
                "`prior_summary` needs the priors of the model, which this file of an older "
                "version lacks. Ask the Model for its `prior_summary()`."
            )
        return self.priors.copy()

    def summary(self, *, ci_prob: float = 0.95, group_effects: bool = False) -> FitSummary:
        """The parameters in sections: group-level, population-level, further ones, thresholds.

        Parameters
        ----------
        ci_prob
            Probability of the equal-tailed interval.
        group_effects
            Whether to list every group's effects too.

        Returns
        -------
        What prints as text and as a table in notebooks. Its ``table`` has the columns ``section``,
        ``factor``, ``parameter``, ``estimate``, ``std_error``, ``conf_low``, ``conf_high``,
        ``rhat``, ``ess_bulk`` and ``ess_tail``; where there are several, the outcome's ``level``;
        with `group_effects` the ``group``. Prior draws, which are independent, have no R-hat and
        no effective sample size.

        Examples
        --------
        >>> import mrp
        >>> table = mrp.testing.example_fit().summary().table
        >>> table["parameter"].tolist()[:3]
        ['sd(Intercept)', 'sd(gender[Woman])', 'cor(Intercept, gender[Woman])']
        """
        from mrp.checks.summary import summarised

        return summarised(self, ci_prob=ci_prob, group_effects=group_effects)

    def diagnostics(self) -> pd.DataFrame:
        """Whether the draws can be trusted: one row for each check.

        Returns
        -------
        Columns ``check``, ``value``, ``at`` (the parameter or chain that is worst), ``limit``,
        ``ok`` (missing where the value can't be computed) and ``advice`` (empty where all is
        well; why not, where there is no value). The checks are of the model's parameters; what
        else draws from elsewhere have is left out.

        - ``divergences`` and ``tree_depth``: draws that ended in a divergence, or whose tree was
          as deep as trees may get (limit 0);
        - ``stuck``: parameters that never move or are not finite (limit 0); those are left out of
          the next three;
        - ``rhat``: the largest R-hat of all parameters (limit 1.01);
        - ``ess_bulk``, ``ess_tail``: the smallest effective sample sizes (limit 100 per chain); the
          tails are the quantiles at 5% and 95%, whatever ArviZ is set to;
        - ``ebfmi``: the lowest energy fraction of missing information of a chain (limit 0.3).

        Parameters may be beyond the limits of R-hat and effective sample size where what is
        reported is not: `Estimates.diagnostics` has those of the estimates themselves.

        References
        ----------
        Vehtari, Gelman, Simpson, Carpenter and Bürkner (2021), doi:10.1214/20-BA1221;
        Betancourt (2016), arXiv:1604.00695; Betancourt (2017), arXiv:1701.02434.

        Examples
        --------
        >>> import mrp
        >>> mrp.testing.example_fit().diagnostics()["check"].tolist()
        ['divergences', 'stuck', 'rhat', 'ess_bulk', 'ess_tail', 'tree_depth', 'ebfmi']
        """
        from mrp.checks.diagnostics import diagnostics
        from mrp.checks.parameters import of_model

        return diagnostics(self.draws, set(map(str, of_model(self))))

    def log_likelihood(self) -> xr.DataArray:
        r"""Log likelihood of each respondent's outcome, for each draw.

        .. math:: \ell_{is} = \log p(y_i \mid \theta_s)

        Returns
        -------
        Dims ``chain``, ``draw`` and ``respondent``, in the survey's order; of
        ``p(successes, trials)`` a respondent is a row, with all its trials. ArviZ takes it as a
        dataset in the group ``log_likelihood`` of a copy of `draws`:
        ``tree = fit.draws.copy(); tree["log_likelihood"] = fit.log_likelihood().to_dataset()``.

        Raises
        ------
        DataError
            The fit was saved without its survey.
        FitError
            The draws lack the family's parameter besides the mean.
        RequestError
            The array does not fit into memory; `loo` does without it.

        Examples
        --------
        >>> import mrp
        >>> dict(mrp.testing.example_fit().log_likelihood().sizes)
        {'chain': 2, 'draw': 25, 'respondent': 3000}
        """
        from mrp.likelihood import of_respondents

        return of_respondents(self)

    def loo(self) -> ELPDDataLOO:
        """Leave-one-out cross-validation of respondents, by Pareto-smoothed importance sampling.

        Returns
        -------
        ArviZ's result: ``elpd`` (expected log predictive density of one respondent, summed over
        respondents), ``se``, ``p`` (effective number of parameters), and by respondent ``elpd_i``
        and ``pareto_k``. ``arviz_stats.compare`` takes it. The importance weights, respondents x
        draws, are not kept. Of ``p(successes, trials)`` a row is left out as a whole, with all its
        trials: the numbers are not those of the same answers in rows of their own.

        Raises
        ------
        RequestError
            The draws are from the prior, or fewer than 25.
        DataError
            The fit was saved without its survey.

        Warns
        -----
        UserWarning
            Pareto k is too large for some respondents: their numbers can't be relied on. Up to 0.7
            more draws help, and the warning says how many.

        Notes
        -----
        It is computed once for respondents with the same design row and outcome, and in blocks.

        **It does not rank models for poststratification.** It scores answers one by one, of people
        like the respondents. In the estimate of a population or area, errors of single answers
        average out, and cells count that the survey has few respondents of. Of simulated models,
        it did not find the order by the error of the population's estimate (Kuh, Kennedy, Chen and
        Gelman 2023, "Using leave-one-out cross validation (LOO) in a multilevel regression and
        poststratification (MRP) workflow: A cautionary tale", arXiv:2209.01773).

        References
        ----------
        Vehtari, Gelman and Gabry (2017), doi:10.1007/s11222-016-9696-4; Vehtari, Simpson, Gelman,
        Yao and Gabry (2024), arXiv:1507.02646.

        Examples
        --------
        >>> import mrp
        >>> survey = mrp.load_dataset("simulated_survey")
        >>> fit = mrp.testing.fake_fit("defund ~ 1", survey, family="bernoulli", draws=500)
        >>> fit.loo().n_data_points
        3000
        """
        from mrp.checks.cross_validation import loo

        return loo(self)

    def predict(self, newdata: Any = None, **options: Any) -> Estimates:
        """Expected outcome, or with ``kind="predictive"`` a drawn one, of each row.

        Parameters
        ----------
        newdata
            Rows to predict; the survey by default.
        options
            Of `mrp.predictions`, which this is.
        """
        from mrp.estimands.verbs import predictions

        return predictions(self, newdata=newdata, **options)

    def fixef(self) -> Estimates:
        """Population-level coefficients, on the scale of the linear predictor.

        Returns
        -------
        One estimate for each coefficient, labelled by ``term``: ``Intercept``, ``gender[Woman]``;
        terms in the order of the formula. Where levels of an outcome have coefficients of their
        own, a column named like the outcome says which level; the thresholds between ordered
        levels come first.

        Examples
        --------
        >>> import mrp
        >>> mrp.testing.example_fit().fixef().labels["term"].tolist()[-2:]
        ['military', 'gender[Woman]']
        """
        from mrp import effects

        return effects.fixef(self)

    def ranef(
        self, factor: str | None = None, *, kind: Literal["effects", "coefficients"] = "effects"
    ) -> Estimates:
        """Effects of the groups, on the scale of the linear predictor.

        Parameters
        ----------
        factor
            A grouping factor; all of them by default.
        kind
            "effects": how much a group's coefficient deviates from the population's (`ranef` of
            lme4 and brms); "coefficients": the population's coefficient plus the deviation
            (`coef`), of the terms that vary by group. A term that has no population-level
            coefficient counts as zero there.

        Returns
        -------
        One estimate for each group and term, labelled by ``factor``, ``group`` and ``term``;
        groups in the order of the survey's levels, and a column for the outcome's as in `fixef`.

        Examples
        --------
        >>> import mrp
        >>> mrp.testing.example_fit().ranef("state").labels.head(2)
          factor group           term
        0  state    AL      Intercept
        1  state    AL  gender[Woman]
        """
        from mrp import effects

        return effects.ranef(self, factor, kind=kind)

    def varcorr(self) -> Estimates:
        """How much the groups differ: standard deviations and correlations of their effects.

        Returns
        -------
        One estimate for each, labelled by ``factor`` and ``parameter``: ``sd(Intercept)``,
        ``cor(Intercept, gender[Woman])``. Where outcomes have a residual standard deviation, it
        comes last: ``sigma`` of the factor ``residual``.

        Raises
        ------
        FitError
            The draws, which came from elsewhere, lack one of them.

        Examples
        --------
        >>> import mrp
        >>> mrp.testing.example_fit().varcorr().labels["parameter"].tolist()
        ['sd(Intercept)', 'sd(gender[Woman])', 'cor(Intercept, gender[Woman])']
        """
        from mrp import effects

        return effects.varcorr(self)

    def save(self, path: str | os.PathLike[str], *, include_survey: bool = True) -> Path:
        """Write the fit to one netCDF file.

        It ends in a hash of what is before, by which `mrp.load_fit` tells whether it is as it was
        saved. While it is written the memory holds the draws once more.

        Parameters
        ----------
        path
            File to write; an older one is replaced only when the new one is complete. Where this
            is a link, the file that it names is replaced.
        include_survey
            Whether the survey goes into the file, row by row. Without it the verbs need `newdata`.

        Raises
        ------
        FitError
            The formula calls functions of the user's, which can't be saved; or the file can't be
            written: an older one is then as it was, and the fit can be saved elsewhere.
        RequestError
            The memory can't hold the draws once more.

        Warns
        -----
        FrameWarning
            The survey has columns that parquet does not take, and that the formula does not use:
            they are left out.
        """
        from mrp import saved_fits

        return saved_fits.write(self, path, include_survey=include_survey)

    def __repr__(self) -> str:
        """Formula, family and number of draws."""
        sizes = self.parameters.sizes
        return (
            f"Fit: {said(self.design.formula)}\n"
            f"family {self.family}, link {self.link}; {self.group} draws: "
            f"{sizes['chain']} chains x {sizes['draw']}"
        )


def check_fit(fit: object) -> None:
    """Raise unless this is a Fit."""
    if not isinstance(fit, Fit):
        raise RequestError(
            f"`fit` must be a Fit, got {type(fit).__name__}. "
            f"Make one with model.sample() or mrp.load_fit()."
        )


def _sorted(array: xr.DataArray) -> xr.DataArray:
    """A variable with its dims by name, and their labels, but for chains and draws, by text."""
    for dim in set(array.dims) & set(array.coords) - {"chain", "draw"}:
        array = array.isel({dim: np.argsort(array[dim].to_numpy().astype(str), stable=True)})
    return array.transpose(*sorted(map(str, array.dims)))


def _named_as_here(dataset: xr.Dataset, design: Design) -> xr.Dataset:
    """Names with a division slash, and calls with the quotes that Python writes."""
    quoted = tuple(t for term in [*design.terms, *_effects(design)] if '"' in (t := term.name))

    def ours(name: str) -> str:
        plain = variable_name(name)
        return plain if plain.startswith(quoted) else plain.replace('"', "'")

    names = [str(name) for name in {*dataset.variables, *dataset.dims}]
    return dataset.rename({name: ours(name) for name in names if name != ours(name)})


def _effects(design: Design) -> list[Term]:
    return [term for block in design.blocks for term in block.terms]
