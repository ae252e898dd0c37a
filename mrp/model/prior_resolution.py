"""From what was asked for to the prior of every parameter of one model.

A coefficient gets the choice with the longest path that leads to it: its own, its term's, its
group's (for sd's), its class's; else the default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mrp.design import Block, Design, Term, variable_name
from mrp.errors import DataError, PriorError, unknown
from mrp.levels import THRESHOLD, threshold_names
from mrp.links import Link
from mrp.model.collapse import Observed
from mrp.model.distributions import Prior, Support, fitted, make, together
from mrp.model.families import Family
from mrp.model.outcome import Outcome
from mrp.model.prior_defaults import (
    DEFAULTS,
    DefaultPriors,
    Defaults,
    Path,
    Priors,
    default_source,
    group_terms,
)
from mrp.model.priors import Choice, PriorChoices


def resolve(
    asked: PriorChoices,
    design: Design,
    observed: Observed,
    outcome: Outcome,
    family: Family,
    link: Link,
    *,
    centered: bool = True,
) -> Priors:
    """The prior of every parameter: the user's where given, else the default.

    Parameters
    ----------
    asked
        What was asked for.
    design, observed, outcome, family, link
        The model; its (uncollapsed) data scale the defaults.
    centered
        Whether the prior of the intercept or the thresholds is that of centred predictors.
    """
    by_path = _by_path(asked, design, outcome, family)
    base = DEFAULTS[asked.defaults](design, observed, outcome, family, link)
    slots = list(_slots(base, design, outcome))
    chosen = {slot.path: _chosen(slot, _leading(slot, by_path)) for slot in slots}
    sources = {slot.path: _sources(slot, by_path, asked.defaults) for slot in slots}
    etas = [chosen[cor_path(block)].values["eta"] for block in design.blocks]
    return Priors(
        population={term.name: chosen[slope_path(term)] for term in design.terms},
        sd={
            block.variable(term): chosen[sd_path(block, term)]
            for block, term in group_terms(design)
        },
        cor=tuple(float(eta) for eta in etas),
        auxiliary={name: chosen[(name,)] for name in base.auxiliary},
        threshold=chosen.get((THRESHOLD,)),
        centered=centered,
        sources=sources,
    )


def slope_path(term: Term) -> Path:
    """Path of a population-level term's coefficients, the intercept's too."""
    return ("Intercept",) if term.kind == "intercept" else ("b", term.name)


def sd_path(block: Block, term: Term) -> Path:
    """Path of the sd's of a group-specific term's effects."""
    return ("sd", block.factor, term.name)


def cor_path(block: Block) -> Path:
    """Path of the correlations of a block's effects."""
    return ("cor", block.factor)


@dataclass(frozen=True)
class _Slot:
    """A parameter with one coefficient or several, and its default prior."""

    path: Path
    name: str
    labels: tuple[str, ...]
    support: Support
    default: Prior | DataError


def _slots(base: DefaultPriors, design: Design, outcome: Outcome) -> Iterator[_Slot]:
    """Every parameter of a model."""
    for term in design.terms:
        default = base.population[term.name]
        yield _Slot(slope_path(term), term.name, term.labels, "real", default)
    for block, term in group_terms(design):
        name = block.variable(term)
        yield _Slot(sd_path(block, term), name, term.labels, "positive", base.sd[name])
    for block, eta in zip(design.blocks, base.cor, strict=True):
        default = make("lkj", eta=eta)
        yield _Slot(cor_path(block), "cor", (block.factor,), "correlation", default)
    for name, default in base.auxiliary.items():
        yield _Slot((name,), name, (name,), "positive", default)
    if base.threshold is not None:
        yield _Slot((THRESHOLD,), THRESHOLD, _thresholds(outcome), "real", base.threshold)


def _thresholds(outcome: Outcome) -> tuple[str, ...]:
    """Names of the thresholds between the levels of an ordered outcome."""
    return tuple(threshold_names(len(outcome.levels or ()) - 1))


def _leading(slot: _Slot, by_path: Mapping[Path, Choice]) -> list[Choice | None]:
    """For each coefficient of a slot the most particular choice that leads to it, if any."""
    found = []
    for label in slot.labels:
        paths = [(*slot.path[:-1], label), *(slot.path[:k] for k in range(len(slot.path), 0, -1))]
        found.append(next((by_path[path] for path in paths if path in by_path), None))
    return found


def _sources(slot: _Slot, by_path: Mapping[Path, Choice], defaults: Defaults) -> tuple[str, ...]:
    """For each coefficient of a slot what its prior was given under, or whose default it is."""
    # Bambi's effects have no correlations
    default = default_source("brms" if slot.support == "correlation" else defaults)
    return tuple(choice.source if choice else default for choice in _leading(slot, by_path))


def _chosen(slot: _Slot, choices: Sequence[Choice | None]) -> Prior:
    """The prior of a slot, put together from those of its coefficients where they differ."""
    first, count = choices[0], len(slot.labels)
    if all(choice is first for choice in choices):
        return _fit(first, slot.support, slot.name, count) if first else _settled(slot.default)
    own = []
    for k, (choice, label) in enumerate(zip(choices, slot.labels, strict=True)):
        alone = choice is not None and choice.path == (*slot.path[:-1], label)
        name, width = (label, 1) if alone else (slot.name, count)
        prior = _fit(choice, slot.support, name, width) if choice else _settled(slot.default)
        own.append(prior.of(k))
    _check_alike(own, slot)
    return together(own)


def _settled(default: Prior | DataError) -> Prior:
    """A default prior, now that it is needed."""
    if isinstance(default, DataError):
        raise default
    return default


def _fit(choice: Choice, support: Support, name: str, width: int) -> Prior:
    """The prior of a choice, fit for the support and for so many coefficients."""
    prior = fitted(choice.prior, support, choice.source)
    for key, value in prior.values.items():
        if value.ndim and len(value) != width:
            raise PriorError(
                f"`priors` must have one number for {key!r}, or one for each coefficient of "
                f"{name!r} ({width}), got {len(value)} in {prior}."
            )
    return prior


def _check_alike(own: Sequence[Prior], slot: _Slot) -> None:
    """Raise unless coefficients have the same distribution; their arguments may differ."""
    for prior, label in zip(own, slot.labels, strict=True):
        if prior.name != own[0].name:
            raise PriorError(
                f"`priors` must give all coefficients of {slot.name!r} the same distribution "
                f"(its arguments may differ), got {own[0].written(4)} for {slot.labels[0]!r} and "
                f"{prior.written(4)} for {label!r}. Give {slot.name!r} as a whole a prior of that "
                f"distribution, too."
            )


def _own_parameters(family: Family) -> list[str]:
    """Parameters of a family besides the coefficients."""
    own = [family.auxiliary] if family.auxiliary else []
    return own + ([THRESHOLD] if family.levels == "ordered" else [])


# --- names ----------------------------------------------------------------------------------------


def _by_path(
    asked: PriorChoices, design: Design, outcome: Outcome, family: Family
) -> dict[Path, Choice]:
    """The choices by the path that they have in a model; every name is checked."""
    plain = _plain_names(design, outcome, family)
    no_intercept = f"Thresholds stand for it: `{THRESHOLD}`." if THRESHOLD in plain else ""
    found: dict[Path, Choice] = {}
    for choice in asked.choices:
        path = choice.path
        if len(path) == 1:
            path = _found(path[0], plain, "name parameters of the model", no_intercept)
        else:
            path = _full_path(path, design)
        if path in found:
            raise PriorError(
                f"`priors` must give each parameter one prior, got {found[path].prior} under "
                f"{found[path].source!r} and {choice.prior} under {choice.source!r}. Leave one out."
            )
        found[path] = replace(choice, path=path)
    return found


def _plain_names(design: Design, outcome: Outcome, family: Family) -> dict[str, Path]:
    """Paths of the names that are no part of a mapping: classes, terms, coefficients."""
    names: dict[str, Path] = {}
    for term in design.terms:
        alone = term.kind == "intercept"
        names[term.name] = (term.name,) if alone else ("b", term.name)
    for block, term in group_terms(design):
        names[block.variable(term)] = ("sd", block.factor, term.name)
    own = {name: (name,) for name in ["b", "sd", "cor", *_own_parameters(family)]}
    # a class comes before a term of its name, which can be named in a mapping
    names = {**names, **own}
    for label in _slope_names(design):
        names.setdefault(label, ("b", label))
    if family.levels == "ordered":
        for label in _thresholds(outcome):
            names.setdefault(label, (label,))
    return names


def _slope_names(design: Design) -> list[str]:
    """Terms and coefficients other than the intercept."""
    terms = [term.name for term in design.slopes]
    labels = [label for term in design.slopes for label in term.labels]
    return list(dict.fromkeys([*terms, *labels]))


def _full_path(path: Path, design: Design) -> Path:
    """The path of the names of a mapping, which must be in the model."""
    first, name, *rest = path
    if first == "b":
        rule = "name terms or coefficients in `b`"
        step = "`Intercept` is an argument of its own."
        return (first, *_found(name, _slope_names(design), rule, step))
    blocks = [b for b in design.blocks if first == "sd" or (b.correlated and b.width > 1)]
    what = "grouping factors" if first == "sd" else "grouping factors with correlated effects"
    factors = [block.factor for block in blocks]
    (factor,) = _found(name, factors, f"name {what} in `{first}`")
    if not rest:
        return (first, factor)
    effects = _effect_names(blocks, factor)
    return (first, factor, *_found(rest[0], effects, f"name effects of {factor!r} in `{first}`"))


def _effect_names(blocks: Sequence[Block], factor: str) -> list[str]:
    """Terms and coefficients that a factor's groups have effects of."""
    own = [block for block in blocks if block.factor == factor]
    terms = [term.name for block in own for term in block.terms]
    return list(dict.fromkeys([*terms, *(label for block in own for label in block.labels)]))


def _found(
    name: str, available: Mapping[str, Path] | Sequence[str], rule: str, of_intercept: str = ""
) -> Path:
    """The path of a name that must be among those available.

    `of_intercept` is what to do if it is the intercept's. Names of terms may be written as in the
    formula; labels of levels are what they are.
    """
    known = next((each for each in (name, variable_name(name)) if each in available), None)
    if known is None:
        next_step = of_intercept if name == "Intercept" else ""
        raise PriorError(unknown("priors", rule, name, list(dict.fromkeys(available)), next_step))
    return available[known] if isinstance(available, Mapping) else (known,)
