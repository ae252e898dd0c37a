"""Simulated surveys in which several factors are crossed, and the formulas that they were made by.

Group sizes are unequal, as they are among people. Each has the size that it is asked for.
"""

import numpy as np
import pandas as pd
from scipy.special import softmax

STATES, DIVISIONS = 48, 9
SEATS, REGIONS = 632, 11
# fmt: off
SHARES = {
    "race": (0.62, 0.17, 0.12, 0.06, 0.03),
    "education": (0.05, 0.28, 0.21, 0.10, 0.23, 0.13),
    "age": (0.12, 0.16, 0.15, 0.17, 0.20, 0.20),
}
ELECTION_SHARES = {
    "age": (0.08, 0.10, 0.14, 0.16, 0.17, 0.16, 0.12, 0.07),
    "education": (0.08, 0.22, 0.20, 0.12, 0.25, 0.13),
    "past": (0.22, 0.20, 0.07, 0.02, 0.01, 0.03, 0.02, 0.17),
    "referendum": (0.38, 0.36, 0.26),
    "gender": (0.52, 0.48),
    "ethnicity": (0.85, 0.07, 0.04, 0.02, 0.02),
}
PARTIES = {
    "Labour": 0.34, "Conservative": 0.24, "Reform": 0.14, "Liberal Democrat": 0.12,
    "Green": 0.07, "National": 0.04, "Other": 0.05,
}
SDS = {
    "state": 0.15, "race": 0.3, "education": 0.35, "age": 0.6, "male:race": 0.15,
    "education:age": 0.1, "education:race": 0.12, "division": 0.1,
}
ELECTION_SDS = {
    "seat": 0.3, "region": 0.3, "age": 0.35, "education": 0.25, "past_vote": 1.2, "gender": 0.1,
    "ethnicity": 0.3,
}
DEEP_SDS = {
    "state": 0.3, "ethnicity": 0.6, "income": 0.2, "state:ethnicity": 0.2, "state:income": 0.1,
    "ethnicity:income": 0.1, "state:ethnicity:income": 0.1,
}
SLOPES = np.array([
    [0.0, -0.3, -0.1, -0.2, 0.0, -0.1, 0.0],
    [0.0, 0.4, 0.2, 0.1, -0.1, 0.0, 0.0],
])
"""What the past shares of two parties in a seat do to the score of each party."""
# fmt: on


def crossed(respondents):
    """Formula and survey: eight factors, one nested in another and three made of two others."""
    rng = np.random.default_rng(1)
    shares, biden = rng.dirichlet(np.full(STATES, 1.5)), standardised(rng.normal(size=STATES))
    state = rng.choice(STATES, respondents, p=shares)
    people = pd.DataFrame({"state": state, "division": state * DIVISIONS // STATES})
    people["male"] = rng.integers(2, size=respondents)
    people["biden_z"] = biden[state]
    for name, shares in SHARES.items():
        people[name] = rng.choice(len(shares), respondents, p=shares)
    eta = -0.4 - 0.2 * people["male"] + 0.3 * people["biden_z"] + effects(people, SDS)[:, 0]
    formula = f"defund ~ male + biden_z + {intercepts(SDS)}"
    return formula, people.assign(defund=yes(eta, rng))


def deep(respondents):
    """Formula and survey: state, ethnicity, income and all that they make together."""
    rng = np.random.default_rng(1)
    shares = {
        "state": rng.dirichlet(np.full(STATES, 1.5)),
        "ethnicity": (0.72, 0.12, 0.10, 0.06),
        "income": (0.18, 0.22, 0.25, 0.2, 0.15),
    }
    people = pd.DataFrame(
        {name: rng.choice(len(share), respondents, p=share) for name, share in shares.items()}
    )
    eta = -0.2 + effects(people, DEEP_SDS)[:, 0]
    return f"vote ~ {intercepts(DEEP_SDS)}", people.assign(vote=yes(eta, rng))


def election(respondents):
    """Formula and survey: seven parties, seats in regions, and six other factors.

    The past vote is crossed with that in a referendum, which makes 24 groups of it.
    """
    rng = np.random.default_rng(1)
    region_of = np.sort(rng.choice(REGIONS, SEATS, p=rng.dirichlet(np.full(REGIONS, 6.0))))
    past_shares = standardised(rng.normal(size=(SEATS, 2)))
    seat = rng.choice(SEATS, respondents, p=rng.dirichlet(np.full(SEATS, 8.0)))
    people = pd.DataFrame({"seat": seat, "region": region_of[seat]})
    people["past_labour"], people["past_conservative"] = past_shares[seat].T
    for name, shares in ELECTION_SHARES.items():
        shares = np.array(shares) / sum(shares)
        people[name] = rng.choice(len(shares), respondents, p=shares)
    people["past_vote"] = 3 * people.pop("past") + people.pop("referendum")
    eta = past_shares[seat] @ SLOPES
    eta[:, 1:] += effects(people, ELECTION_SDS, levels=len(PARTIES) - 1)
    for _ in range(50):
        eta += np.log(list(PARTIES.values())) - np.log(softmax(eta, axis=1).mean(axis=0))
    vote = (eta + rng.gumbel(size=eta.shape)).argmax(axis=1)
    formula = f"vote ~ past_labour + past_conservative + {intercepts(ELECTION_SDS)}"
    return formula, people.assign(vote=pd.Categorical.from_codes(vote, list(PARTIES)))


def intercepts(sds):
    return " + ".join(f"(1 | {group})" for group in sds)


def effects(people, sds, levels=1):
    """The sum of each person's group effects, (people, levels): the same in a larger survey."""
    rng = np.random.default_rng(2)
    total = np.zeros((len(people), levels))
    for group, sd in sds.items():
        number = people.groupby(group.split(":")).ngroup().to_numpy()
        total += sd * rng.normal(size=(number.max() + 1, levels))[number]
    return total


def standardised(numbers):
    return (numbers - numbers.mean(axis=0)) / numbers.std(axis=0)


def yes(eta, rng):
    """Answers of 0 and 1 with these log-odds."""
    return (rng.random(len(eta)) < 1 / (1 + np.exp(-eta))).astype(int)
