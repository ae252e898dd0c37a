"""Words of R and of other packages, and what they are called here.

People come from marginaleffects, brms, Bambi and pandas, and write what they know. `ARGUMENTS` has
their arguments, `VALUES` their values of arguments that are called the same, `ATTRIBUTES` what they
look for in objects. Messages say what is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """An argument of another package.

    Parameters
    ----------
    ours
        Our arguments for it; the first that a function has is named.
    note
        What differs from it, if anything does.
    elsewhere
        What to do where the function has none of them.
    """

    ours: tuple[str, ...] = ()
    note: str = ""
    elsewhere: str = ""


_INTERVAL = ".to_frame(ci_prob=0.9)` or `.with_interval(ci_prob=0.9)"
_LEVEL = Word(("ci_prob",), elsewhere=f"Ask the result: `{_INTERVAL}`.")
_QUANTILES = Word(
    ("ci_prob",),
    "ci_prob=0.9 gives the quantiles at 0.05 and 0.95.",
    f"Ask the result: `{_INTERVAL}`, which gives the quantiles at 0.05 and 0.95.",
)
_INTERVAL_KIND = Word(("ci_kind",), elsewhere='Ask the result: `.to_frame(ci_kind="hdi")`.')
_CENTER = Word(("center",), 'Say center="median".', 'Ask the result: `.to_frame(center="median")`.')
_NO_TESTS = Word(elsewhere="Leave it out: the uncertainty is that of the draws.")
_RESULT = Word(elsewhere="Leave it out: results keep their draws, `.to_frame()` summarises them.")
_ROWS = Word(("newdata", "frame"), elsewhere="It is an argument of the verbs.")
_WEIGHTS = Word(
    ("wts",),
    elsewhere="Respondents can't be weighted: put what the weights are made of into the formula, "
    "and poststratify.",
)
_GROUPS = Word(("by",), elsewhere="It is an argument of the averaging verbs.")
_EFFECTS = Word(
    ("re_formula",), "None is all group-specific terms, False none.", "It is an argument of verbs."
)
_NEW_GROUPS = Word(
    ("new_levels",), 'Say for example new_levels="gaussian".', "It is an argument of verbs."
)
_DRAWS = Word(("draws",), elsewhere="All draws are used; `model.sample(draws=…)` says how many.")
_SAMPLING = Word(
    ("draws",), "The `tune` draws come before.", "Say `model.sample(draws=…, tune=…)`."
)
_TUNE = Word(("tune",), "They come before the `draws`.", "Say `model.sample(tune=…)`.")
_CHAINS = Word(("chains",), elsewhere="Say `model.sample(chains=…)`.")
_CORES = Word(elsewhere="Leave it out: chains run in parallel where there are cores.")
_ENGINE = Word(("engine",), elsewhere="Say `model.sample(engine=…)`.")
_ACCEPT = Word(
    ("target_accept",), "Say target_accept=0.99.", "Say `model.sample(target_accept=0.99)`."
)
_SEED = Word(("seed",), elsewhere="Say `model.sample(seed=…)`.")
_PROGRESS = Word(("progress",), elsewhere="Say `model.sample(progress=…)`.")
_START = Word(elsewhere="Leave it out: chains start near the posterior's mode.")
_STORED = Word(elsewhere="Leave it out: `fit.log_likelihood()` and `fit.loo()` make it when asked.")
_PRIORS = Word(("priors",), elsewhere="Priors are an argument of `Model`.")
_MISSING = Word(elsewhere="Leave those rows out yourself: `data.dropna(subset=[…])`.")
_PREDICTIVE = Word(("kind",), 'kind="predictive" draws new outcomes.')

ARGUMENTS: Mapping[str, Word] = {
    # intervals and centres
    **dict.fromkeys(
        ("conf_level", "level", "ci", "ci_level", "cred_mass", "hdi_prob", "prob", "ci_prob"),
        _LEVEL,
    ),
    **dict.fromkeys(("probs", "quantiles", "alpha"), _QUANTILES),
    **dict.fromkeys(("interval", "ci_method", "ci_kind"), _INTERVAL_KIND),
    **dict.fromkeys(("robust", "centrality", "point_estimate", "center"), _CENTER),
    # what R's packages ask of the verb, and this one of the result
    **dict.fromkeys(("vcov", "df", "p_adjust", "multcomp"), _NO_TESTS),
    "hypothesis": Word(("statement",), elsewhere="Ask the result: `.hypothesis(…)`."),
    "equivalence": Word(("bounds",), elsewhere="Ask the result: `.equivalence([low, high])`."),
    "summary": _RESULT,
    "shape": Word(elsewhere="Ask the result: `.get_draws(…)`."),
    # what is predicted
    **dict.fromkeys(("model", "object", "idata"), Word(("fit",))),
    **dict.fromkeys(("newdata", "new_data", "data", "grid", "frame", "poststrat"), _ROWS),
    **dict.fromkeys(("weights", "weight", "wt", "wts"), _WEIGHTS),
    **dict.fromkeys(("group_by", "groupby", "group", "groups", "estimates", "area", "by"), _GROUPS),
    **dict.fromkeys(("terms", "focal"), Word(("variables",))),
    **dict.fromkeys(("condition", "conditional"), Word(("newdata",), "`datagrid` makes a grid.")),
    "contrast": Word(("comparison",)),
    "interaction": Word(("cross",)),
    "pps": _PREDICTIVE,
    "dpar": Word(elsewhere="Leave it out: verbs predict the mean of the outcome."),
    "resp": Word(elsewhere="Leave it out: a model has one outcome."),
    "numderiv": Word(
        ("eps",),
        "It is half the distance of a numerical derivative; usual: leave both out.",
        "Leave it out: only slopes are derivatives.",
    ),
    # groups
    **dict.fromkeys(("re_form", "random", "include_group_specific"), _EFFECTS),
    **dict.fromkeys(("allow_new_levels", "sample_new_levels", "sample_new_groups"), _NEW_GROUPS),
    # sampling
    **dict.fromkeys(("ndraws", "nsamples", "n_draws", "num_samples", "draw_ids", "draws"), _DRAWS),
    **dict.fromkeys(("iter", "iterations", "iter_sampling"), _SAMPLING),
    **dict.fromkeys(("warmup", "iter_warmup", "num_warmup", "burnin", "tune"), _TUNE),
    **dict.fromkeys(("chains", "num_chains", "n_chains"), _CHAINS),
    **dict.fromkeys(("cores", "threads", "parallel_chains", "mp_ctx", "chain_method"), _CORES),
    **dict.fromkeys(("backend", "algorithm", "inference_method", "nuts_sampler"), _ENGINE),
    **dict.fromkeys(("sampler", "engine", "method"), _ENGINE),
    **dict.fromkeys(("control", "adapt_delta", "nuts", "target_accept"), _ACCEPT),
    **dict.fromkeys(("random_seed", "random_state", "seed"), _SEED),
    **dict.fromkeys(("progressbar", "progress_bar", "refresh", "silent"), _PROGRESS),
    **dict.fromkeys(("init", "inits", "initvals"), _START),
    **dict.fromkeys(("idata_kwargs", "save_pars", "discard_tuned_samples"), _STORED),
    "thin": Word(elsewhere="Leave it out: all draws are kept."),
    "max_treedepth": Word(
        elsewhere="Leave it out: `fit.diagnostics()` tells whether trees were too deep."
    ),
    # models
    **dict.fromkeys(("prior", "priors"), _PRIORS),
    **dict.fromkeys(("dropna", "na_action", "na_rm"), _MISSING),
    "survey": Word(("data",)),
    "sample_prior": Word(elsewhere="Write `model.sample_prior()`."),
    "auto_scale": Word(("priors",), "Every prior may be given."),
    "categorical": Word(elsewhere='Make the column a category: `.astype("category")`.'),
    "extra_namespace": Word(("namespace",)),
    "offset": Word(elsewhere="Write `offset(x)` in the formula."),
    "noncentered": Word(elsewhere="Leave it out: the sampler centres each group as its data ask."),
}

_TABLE = "`.to_frame()` makes a table of them, `.draws` is an array of their draws."

ATTRIBUTES: Mapping[str, Mapping[str, str]] = {
    "Estimates": {
        **dict.fromkeys(("estimate", "std_error", "conf_low", "conf_high", "df"), _TABLE),
        **dict.fromkeys(("mean", "median", "std", "quantile", "describe", "values"), _TABLE),
        **dict.fromkeys(("columns", "head", "iloc", "loc", "query", "sort_values"), _TABLE),
        **dict.fromkeys(("summary", "to_pandas", "to_csv", "to_polars", "merge"), _TABLE),
    },
    "Fit": {
        **dict.fromkeys(
            ("posterior", "prior", "sample_stats"), 'Write `fit.draws["posterior"]` and the like.'
        ),
        **dict.fromkeys(("sample", "fit"), "It is sampled: `model.sample()` makes another."),
        **dict.fromkeys(("coef", "ranefs"), 'Write `fit.ranef(kind="coefficients")`.'),
        "poststratify": "Write `mrp.poststratify(fit, …)`.",
        "model": "A fit keeps what predicts, not the model.",
        "data": "Write `fit.survey`.",
    },
    "Model": {
        **dict.fromkeys(("fit", "build", "run"), "Write `model.sample()`."),
        "prior_predictive": "Write `mrp.pp_check(model.sample_prior())`.",
        "predict": "Sample first: `model.sample().predict(…)`.",
        "data": "Write `model.survey`.",
    },
}

VALUES: Mapping[str, Mapping[str, str]] = {
    "type": {
        **dict.fromkeys(
            ("invlink(link)", "probs", "prob", "probability", "mean", "expectation"),
            "Expected outcomes, probabilities among them, are type='response'.",
        ),
        **dict.fromkeys(("prediction", "predictive", "pps"), "New outcomes are kind='predictive'."),
        **dict.fromkeys(("lp", "linear_predictor", "latent"), "It is type='link'."),
        "class": "Levels of an outcome each have their probability in type='response'.",
    },
    "kind": {
        **dict.fromkeys(("response", "mean", "response_params", "epred"), "It is kind='expected'."),
        **dict.fromkeys(("pps", "prediction", "posterior_predictive"), "It is kind='predictive'."),
        "link": "It is type='link'.",
        "coef": "It is kind='coefficients'.",
    },
    "comparison": {
        **dict.fromkeys(
            ("dydx", "eyex", "eydx", "dyex", "dydxavg", "eyexavg", "eydxavg", "dyexavg"),
            "Derivatives are made by `slopes` and `avg_slopes`, with slope='dydx' and the like.",
        ),
        "expdydx": "Write `avg_slopes(…, transform=np.exp)`.",
        **dict.fromkeys(("rr", "risk_ratio", "ratios"), "It is 'ratio'."),
        **dict.fromkeys(("or", "odds_ratio"), "It is 'lnor' with transform=np.exp."),
    },
    "slope": dict.fromkeys(
        ("dydxavg", "eyexavg", "eydxavg", "dyexavg"),
        "Write the name without 'avg': `avg_slopes` averages.",
    ),
    "shape": {
        "rvar": "Write 'xarray': an array with the dims chain and draw.",
        "DxP": "Draws by predictions are 'wide'.",
        "PxD": "Predictions by draws are 'transposed'.",
        "df": "Write 'long'.",
        "tidy": "Write 'long'.",
    },
    "datagrid": {
        "newdata": "Its rows are the survey's; make other tables yourself.",
        "model": "The fit comes first: datagrid(fit, …).",
        "by": "It is an argument of the verbs.",
        "response": "Leave it out: grids have no outcome.",
        **dict.fromkeys(
            ("FUN", "FUN_numeric", "FUN_factor", "FUN_character", "FUN_other"),
            "Give columns a function: datagrid(fit, x=np.median).",
        ),
    },
    "newdata": {
        "marginalmeans": "Write newdata='balanced' and avg_predictions(…, by=…).",
    },
    "statement": dict.fromkeys(("trt_vs_ctrl", "dunnett"), "It is '~ reference'."),
    "family": {
        **dict.fromkeys(("logit", "logistic", "binary", "probit"), "It is 'bernoulli'."),
        **dict.fromkeys(("normal", "linear"), "It is 'gaussian'."),
        **dict.fromkeys(("negbinomial", "nbinom", "neg_binomial_2"), "It is 'negativebinomial'."),
        **dict.fromkeys(("multinomial", "softmax"), "It is 'categorical'."),
        **dict.fromkeys(("ordinal", "ordered", "polr"), "It is 'cumulative', or 'sratio'."),
    },
}
