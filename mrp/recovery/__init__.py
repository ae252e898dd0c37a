"""Whether a model finds what is known to be true: fake surveys, refits, bias, coverage, ranks.

`surveys` makes outcomes from known parameters, `trial` asks whether they can be refitted, `refits`
and `run` do it, `result` says how `estimands` and truths compare, `uniformity` tests ranks. A
survey of a whole population with a known truth is another thing: `mrp.simulate_survey`.
"""
