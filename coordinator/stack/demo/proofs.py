"""What the demonstration claims, checked: it ends with 0 only if each of these held."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from contracts.addresses import Addresses
from contracts.client import ChainClient
from coordinator.config import Settings
from coordinator.stack.demo.acts import Act
from coordinator.stack.demo.people import HONEST, Cast
from coordinator.stack.layout import Layout
from jobs.states import JobState
from jobs.typed_data import chain_job_id

__all__ = ["Claim", "prove"]


@dataclass(frozen=True)
class Claim:
    """One sentence, and whether it is true."""

    text: str
    held: bool


def prove(layout: Layout, cast: Cast, acts: Sequence[Act], pictures: int) -> list[Claim]:
    """Looks at what is on this disk and on the chain, not at what was said about it. `pictures`: how many are due."""
    claims = [_delivered(acts), _pictures(acts, pictures)]
    claims += [_caught(cast, act) for act in acts if act.title != "animation"]
    claims += [_nobody_wronged(cast, acts), _cheat_unpaid(cast, acts), _honest_paid(cast, acts)]
    return claims + _money(layout, acts)


def _delivered(acts: Sequence[Act]) -> Claim:
    files = [one for act in acts for one in act.delivered]
    right = all(hashlib.sha256(one.path.read_bytes()).hexdigest() == one.sha256 for one in files)
    done = all(act.job.state is JobState.DONE and act.delivered for act in acts)
    return Claim(f"{len(acts)} jobs done, {len(files)} files delivered, each with its hash", done and right)


def _pictures(acts: Sequence[Act], due: int) -> Claim:
    found = 0
    for act in acts:
        for one in act.delivered:
            if one.path.suffix == ".png":
                with Image.open(one.path) as image:
                    # An empty or black frame has no contrast.
                    found += float(np.asarray(image.convert("L"), np.float32).std()) > 4
    return Claim(f"{found} of {due} pictures show something", found == due)


def _caught(cast: Cast, act: Act) -> Claim:
    refused = [one for one in act.job.rejections if one.node in cast.cheats]
    return Claim(f"{act.title}: the cheat was refused, {len(refused)} tiles", bool(refused))


def _nobody_wronged(cast: Cast, acts: Sequence[Act]) -> Claim:
    wronged = [one for act in acts for one in act.job.rejections if one.node not in cast.cheats]
    return Claim(f"no tile of an honest node was refused ({len(wronged)} were)", not wronged)


def _cheat_unpaid(cast: Cast, acts: Sequence[Act]) -> Claim:
    amount = sum(one.amount for act in acts for one in act.job.rewards if one.node in cast.cheats)
    return Claim("the cheat earned nothing", amount == 0)


def _honest_paid(cast: Cast, acts: Sequence[Act]) -> Claim:
    earned = {cast.name(one.node) for act in acts for one in act.job.rewards if one.amount > 0}
    return Claim("honest nodes earned", bool(earned) and earned <= set(HONEST))


def _money(layout: Layout, acts: Sequence[Act]) -> list[Claim]:
    settings = Settings.load(layout.settings)
    chain = ChainClient(settings.chain.rpc_url, Addresses.load(settings.chain.addresses_file))
    claims, burned = [], 0
    for act in acts:
        told, real = act.job.settlement, chain.settlement(chain_job_id(act.job.id))
        assert act.job.quote is not None
        same = (
            told is not None
            and real is not None
            and (told.burned, told.fee, told.refund) == (real.burned, real.fee, real.refund)
            and told.burned + told.fee == told.price
            and told.price + told.refund == act.job.quote.cap
        )
        burned += real.burned if real is not None else 0
        claims.append(Claim(f"{act.title}: burned, fee and refund are the chain's own and add up to the escrow", same))
    total = chain.total_burned()
    claims.append(Claim("the chain has burned what these jobs burned, and more than nothing", total == burned > 0))
    return claims
