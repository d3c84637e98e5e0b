"""Who is served first, and who fits: pure functions, held for whatever is bid."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.auction import BAD, REFUSAL_WEIGHT, Bid, better, counted_asks, rank, reputation, score
from jobs.constraints import GIB, Constraint, Machine, Needs, in_region, parse_device, parse_region
from jobs.errors import BadInput

asks = st.floats(1e-6, 1e6)
times = st.floats(1e-3, 1e6)
shares = st.floats(0, 1)
bids = st.builds(Bid, st.sampled_from([f"0x{n:040x}" for n in range(8)]), asks, times, shares)


@given(bids, asks, st.text(max_size=5))
def test_a_lower_ask_never_ranks_worse(bid: Bid, ask: float, lot: str) -> None:
    """And a higher one never better: everything else the same."""
    other = bid._replace(ask=ask)
    if ask < bid.ask:
        assert score(other) <= score(bid) and rank(other, lot) <= rank(bid, lot)
    else:
        assert score(other) >= score(bid) and rank(other, lot) >= rank(bid, lot)


@given(bids, times, shares, st.text(max_size=5))
def test_faster_and_better_known_never_ranks_worse(bid: Bid, seconds: float, share: float, lot: str) -> None:
    faster = bid._replace(seconds=min(bid.seconds, seconds))
    better_known = bid._replace(reputation=max(bid.reputation, share))
    assert rank(faster, lot) <= rank(bid, lot) and rank(better_known, lot) <= rank(bid, lot)


@given(bids, bids, st.text(max_size=5))
def test_no_ask_and_no_speed_buys_a_bad_reputation_off(bad: Bid, good: Bid, lot: str) -> None:
    """Whoever stands below what nobody knows begins with comes after everybody who does not."""
    bad = bad._replace(reputation=min(bad.reputation, BAD * (1 - 1e-9)))
    good = good._replace(reputation=max(good.reputation, BAD))
    assert rank(good, lot) < rank(bad, lot)


def test_ties_are_drawn_anew_for_each_job() -> None:
    """Eight equal machines, 4,000 jobs of one tile: each is first about as often (500, within 5 sigma of 21)."""
    equal = [Bid(f"0x{n:040x}", 0.1, 10.0, 0.9) for n in range(8)]
    first = Counter(min(equal, key=lambda bid: rank(bid, f"job{n}")).address for n in range(4000))
    assert len(first) == 8 and all(395 < count < 605 for count in first.values())


@given(st.lists(bids, min_size=1, max_size=8, unique_by=lambda bid: bid.address), st.text(max_size=5))
def test_everybody_has_a_place_of_his_own(found: list[Bid], lot: str) -> None:
    """The places of all bids are 0, 1, 2, ... without a gap: so many tiles serve so many machines."""
    assert sorted(better(bid, found, lot) for bid in found) == list(range(len(found)))


@given(st.integers(0, 10**6), st.integers(0, 10**4))
def test_reputation_rises_with_what_passed_and_falls_with_what_was_refused(passed: int, refused: int) -> None:
    assert 0 < reputation(passed, refused) < 1
    assert reputation(passed, refused) < reputation(passed + 1, refused)
    assert reputation(passed, refused) > reputation(passed, refused + 1)
    assert reputation(REFUSAL_WEIGHT, 1) == BAD == reputation(0, 0), "one refusal is made up for by ten tiles"


MACHINE = Machine("0xAb", "0xCd", "eu-de", "CUDAExecutionProvider", 16 * GIB, 8 * GIB, 0.9)


@pytest.mark.parametrize(
    ("needs", "change", "broken"),
    [
        ({}, {"region": ""}, None),
        ({"owners": ["0xCD"]}, {}, None),
        ({"owners": ["0xAB"]}, {"owner": None}, None),
        ({"owners": ["0xCD"]}, {"owner": None}, "owner"),
        ({"owners": ["0xEF"]}, {}, "owner"),
        ({"regions": ["eu"]}, {}, None),
        ({"regions": ["eu-de", "us"]}, {"region": "US-east"}, None),
        ({"regions": ["eu-de"]}, {"region": "eu"}, "region"),
        ({"regions": ["eu"]}, {"region": "europe"}, "region"),
        ({"regions": ["eu"]}, {"region": ""}, "region"),
        ({"not_regions": ["us"]}, {}, None),
        ({"not_regions": ["eu"]}, {}, "region"),
        ({"regions": ["eu"], "not_regions": ["eu-de"]}, {}, "region"),
        ({"not_regions": ["us"]}, {"region": ""}, "region"),
        ({"devices": ["GPU"]}, {}, None),
        ({"devices": ["CUDA", "CPU"]}, {"device": "CPU"}, None),
        ({"devices": ["GPU"]}, {"device": "CPU"}, "device"),
        ({"devices": ["OPTIX"]}, {}, "device"),
        ({"min_memory_gb": 16}, {}, None),
        ({"min_memory_gb": 16.5}, {}, "memory"),
        ({"min_vram_gb": 8}, {}, None),
        ({"min_vram_gb": 9}, {}, "vram"),
        ({"min_reputation": 0.9}, {}, None),
        ({"min_reputation": 0.95}, {}, "reputation"),
    ],
)
def test_what_a_machine_breaks_has_a_name(needs: dict, change: dict, broken: str | None) -> None:  # type: ignore[type-arg]
    wanted = Needs.of(needs)
    unmet = wanted.unmet(replace(MACHINE, **change))
    assert unmet == (None if broken is None else Constraint(broken))
    if unmet is not None:
        assert wanted.wanted(unmet)


def test_regions_hold_what_is_finer() -> None:
    assert in_region("eu-de-fra", "EU") and not in_region("eu", "eu-de") and not in_region("eur", "eu")


@pytest.mark.parametrize("text", ["", "e u", "eu_", "-eu", "eu--de", "é", "x" * 41])
def test_what_is_no_region_is_said(text: str) -> None:
    with pytest.raises(BadInput, match="is no region"):
        parse_region(text)


def test_devices_and_regions_as_typed() -> None:
    assert parse_region(" EU-de ") == "eu-de" and parse_device("gpu") == "GPU" and parse_device("cuda:1") == "CUDA"
    with pytest.raises(BadInput, match="there are CPU, GPU"):
        parse_device("toaster")


offers = st.lists(st.tuples(asks, times, shares), max_size=12)


@given(offers, offers, asks)
def test_who_has_proven_nothing_does_not_lower_what_counts(
    known: list[tuple[float, float, float]], new: list[tuple[float, float, float]], reference: float
) -> None:
    """Given machines of which some have proven themselves; then nobody counts below the cheapest of those (or the
    reference, where that is less), nobody below his own ask, and the proven ones as they ask."""
    new = [(ask, speed, share * BAD) for ask, speed, share in new]
    counted = counted_asks([*known, *new], reference)
    proven = [ask for ask, _, reputed in known if reputed > BAD]
    least = min(*proven, reference) if proven else 0.0
    for (ask, speed, reputed), (counts, same) in zip([*known, *new], counted, strict=True):
        assert same == speed and counts == (ask if reputed > BAD else max(ask, least))


def test_what_counts_where_nobody_or_only_one_is_proven() -> None:
    """A fresh deployment goes by what is asked; one proven machine alone cannot raise the price at will."""
    assert counted_asks([(0.01, 1.0, 0.5), (0.1, 1.0, 0.5)], 0.2) == [(0.01, 1.0), (0.1, 1.0)]
    assert counted_asks([(9.0, 1.0, 0.9), (0.01, 1.0, 0.5)], 0.2) == [(9.0, 1.0), (0.2, 1.0)]
