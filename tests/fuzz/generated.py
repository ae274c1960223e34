"""The search by hypothesis: inputs from descriptions, findings shrunk to the smallest input that shows them."""

from __future__ import annotations

from types import ModuleType

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.lookout import Lookout
from tests.fuzz.oracle import Finding


def search(made_by: ModuleType, lookout: Lookout, its_seed: int) -> None:
    """Search until the look-out's time is over, which ends this process."""
    while True:
        _round(made_by, lookout, its_seed)
        its_seed += 1


def _round(made_by: ModuleType, lookout: Lookout, its_seed: int) -> None:
    """Look at some inputs; a finding that is new is shrunk, and known from then on."""
    first: list[Finding] = []

    @seed(its_seed)
    @settings(
        max_examples=300,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
    )
    @given(made_by.files())
    def check(data: bytes) -> None:
        finding = lookout.look(data)
        if finding is not None and (not first or finding.signature == first[0].signature):
            first.append(finding)
            raise finding

    try:
        check()
    except Exception:
        if not first:  # nothing that was looked for
            raise
    lookout.known |= {finding.name for finding in first}
