# SPDX-License-Identifier: Apache-2.0
"""The experiment: one hypothesis about the estate, as frozen models.

The text of each field is what editors show (``gameday schema``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field

from gameday.experiment import limits
from gameday.experiment.params import SelectorModel, Strict, plain, to_selector
from gameday.faults.base import Selector

if TYPE_CHECKING:
    SelectorField = Selector
    Params = Any
else:
    from pydantic import AfterValidator

    SelectorField = Annotated[SelectorModel, AfterValidator(to_selector)]
    # A mapping in the file; after loading, the kind's own frozen dataclass.
    Params = dict[str, Any]

SLUG = r"^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$"
URL = r"^https?://[^\s]+$"

Slug = Annotated[str, Field(pattern=SLUG, max_length=limits.NAME_MAX)]
Title = Annotated[str, Field(min_length=1, max_length=limits.NAME_MAX * 2)]
Text = Annotated[str, Field(min_length=1, max_length=limits.TEXT_MAX)]
Url = Annotated[str, Field(pattern=URL, max_length=limits.TEXT_MAX)]


class Links(Strict):
    """Where people find more."""

    adr: Url | None = Field(default=None, description="the decision record that this drill tests")
    runbook: Url | None = Field(default=None, description="what on-call follows when this happens")
    dashboard: Url | None = Field(default=None, description="where people watch it")


Whole = Annotated[int, Field(ge=0)]
Recorded = tuple[Whole, Whole, Whole, Whole]
"""A step of evidence: its middle since the window's start (ms), the median of its answers (us),
how many answers that is, and the share of packets lost (millionths)."""


class Incident(Strict):
    """Which incident is reproduced, and from what; ``gameday reproduce`` writes it."""

    id: Title = Field(description="what the incident is called where incidents are kept")
    evidence: Title = Field(description="name of the file that the series was read from")
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] = Field(
        description="digest of that file"
    )
    path: Text | None = Field(
        default=None, description="which path's lines of it, or which series, were used"
    )
    query: Text | None = Field(default=None, description="the query that the file answers")
    window: tuple[Title, Title] = Field(description="its beginning and end, RFC 3339 with zone")
    base_us: Annotated[int, Field(ge=0)] = Field(
        description="the usual round trip that was taken off, in microseconds"
    )
    step_ms: Annotated[int, Field(ge=1)] = Field(description="of the resampling")
    error_p95_us: Annotated[int, Field(ge=0)] = Field(
        description="95 of 100 recorded answers are no further from what the fault holds"
    )
    error_max_us: Annotated[int, Field(ge=0)] = Field(description="no recorded answer is further")
    compare_ms: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="width of a step in which recorded and replayed are compared"
    )
    recorded: tuple[Recorded, ...] = Field(
        default=(), max_length=limits.STEPS_MAX,
        description="what was recorded, a row a step: [at_ms, rtt_us, answers, loss_ppm]",
    )  # fmt: skip
    fixed_by: Title | None = Field(default=None, description="the change that is to have mended it")


class Metadata(Strict):
    """What the experiment is, why it is run, and whom to ask."""

    name: Slug = Field(description="short name; becomes part of the run's directory")
    title: Title = Field(description="one line for people")
    why: Text = Field(description="the hypothesis, and what is at stake if it is wrong")
    owner: Title = Field(description="whom to ask: a team's or a person's address")
    links: Links = Field(default_factory=Links, description="decision record, runbook, dashboard")
    incident: Incident | None = Field(default=None, description="the incident that is reproduced")


class SteadyCheck(Strict):
    """A probe that must be healthy before T0."""

    probe: Slug = Field(description="name of a probe of this experiment")
    ok_percent: Annotated[int, Field(ge=1, le=100)] = Field(
        description="share of its samples that must be ok, in percent"
    )


class SteadyState(Strict):
    """What must hold before anything is broken; else the run does not start."""

    for_s: Annotated[int, Field(ge=limits.STEADY_S_MIN, le=limits.STEADY_S_MAX)] = Field(
        description="how long it is watched before T0, in seconds"
    )
    checks: tuple[SteadyCheck, ...] = Field(
        min_length=1, max_length=limits.ITEMS_MAX, description="probes and their healthy share"
    )


class FaultStep(Strict):
    """One fault on the timeline."""

    name: Slug = Field(description="unique among the faults")
    kind: Slug = Field(description="kind of fault")
    at_s: Annotated[int, Field(ge=0, le=limits.AT_S_MAX)] = Field(
        description="when it starts, in whole seconds after T0"
    )
    for_s: Annotated[int, Field(ge=limits.FAULT_S_MIN, le=limits.FAULT_S_MAX)] = Field(
        description="how long it lasts, in whole seconds; it ends by itself"
    )
    params: Params = Field(default_factory=dict)

    @property
    def end_s(self) -> int:
        """When it ends, in seconds after T0."""
        return self.at_s + self.for_s


class ProbeStep(Strict):
    """One probe: who looks at what, and how often."""

    name: Slug = Field(description="unique among the probes")
    kind: Slug = Field(description="kind of probe")
    vantage: SelectorField = Field(alias="from", description="nodes that look")
    to: SelectorField | None = Field(default=None, description="nodes that are looked at")
    period_ms: Annotated[int, Field(ge=limits.PERIOD_MS_MIN, le=limits.PERIOD_MS_MAX)] = Field(
        description="one look every so many milliseconds"
    )
    timeout_ms: Annotated[int, Field(ge=limits.TIMEOUT_MS_MIN, le=limits.TIMEOUT_MS_MAX)] | None = (
        Field(
            default=None,
            description="a look fails after this; by default, the period",
        )
    )
    params: Params = Field(default_factory=dict)


class Objective(Strict):
    """A measurement and the limit it must meet; without a limit it is only reported."""

    name: Title = Field(description="unique among the objectives; a line of the report")
    measure: Slug = Field(description="kind of measurement")
    at_most_ms: Annotated[int, Field(ge=0, le=limits.LIMIT_MS_MAX)] | None = Field(
        default=None, description="limit in milliseconds, for durations"
    )
    at_most_percent: Annotated[int, Field(ge=0, le=100)] | None = Field(
        default=None, description="limit in percent, for shares"
    )
    at_most: Annotated[int, Field(ge=0, le=limits.COUNT_MAX)] | None = Field(
        default=None, description="limit as a number, for counts"
    )
    params: Params = Field(default_factory=dict)


class AbortCondition(Strict):
    """When gameday ends every fault early."""

    name: Title = Field(description="unique among the abort conditions")
    probe: Slug = Field(description="name of a probe of this experiment")
    failed_for_s: Annotated[int, Field(ge=1, le=limits.FAULT_S_MAX)] = Field(
        description="abort when no sample of the probe was ok for so many seconds"
    )


class Bounds(Strict):
    """How much may be broken at most; can only lower gameday's own bounds."""

    longest_s: Annotated[int, Field(ge=1, le=limits.FAULT_S_MAX)] | None = Field(
        default=None, description="no fault lasts longer, in seconds"
    )
    site_percent: Annotated[int, Field(ge=1, le=100)] | None = Field(
        default=None, description="largest share of a site's nodes that hold leases at a time"
    )
    leases: Annotated[int, Field(ge=1, le=limits.NAMES_MAX)] | None = Field(
        default=None, description="most leases at a time, in the whole estate"
    )
    keep_free_mb: Annotated[int, Field(ge=1, le=limits.COUNT_MAX)] | None = Field(
        default=None, description="what a full disk must leave free, in MiB"
    )

    def given(self) -> dict[str, int]:
        """Those that were given."""
        pairs = ((name, getattr(self, name)) for name in type(self).model_fields)
        return {name: value for name, value in pairs if value is not None}


class Experiment(Strict):
    """A chaos game-day experiment: what is broken, what is watched, what must hold."""

    model_config = ConfigDict(title="gameday experiment")

    version: Literal["gameday/v1"] = Field(alias="schema", description="version of this format")
    metadata: Metadata
    steady_state: SteadyState
    faults: tuple[FaultStep, ...] = Field(
        min_length=1, max_length=limits.ITEMS_MAX, description="what is broken, and when"
    )
    probes: tuple[ProbeStep, ...] = Field(
        min_length=1, max_length=limits.ITEMS_MAX, description="what is watched, from where"
    )
    recover_s: Annotated[int, Field(ge=limits.RECOVER_S_MIN, le=limits.RECOVER_S_MAX)] = Field(
        description="how long recovery is watched after the last fault, in seconds"
    )
    objectives: tuple[Objective, ...] = Field(
        default=(), max_length=limits.ITEMS_MAX, description="measurements and their limits"
    )
    abort: tuple[AbortCondition, ...] = Field(
        default=(), max_length=limits.ITEMS_MAX, description="when every fault is ended early"
    )
    bounds: Bounds | None = Field(
        alias="limits",
        default=None,
        description="lowers how much may be broken at most in this experiment",
    )
    accept_quorum_loss: tuple[Slug, ...] = Field(
        default=(),
        max_length=limits.ITEMS_MAX,
        description="Raft groups of the inventory that this experiment may leave without quorum",
    )

    @property
    def faults_end_s(self) -> int:
        """When the last fault ends, in seconds after T0."""
        return max(fault.end_s for fault in self.faults)

    @property
    def total_s(self) -> int:
        """Steady state, faults and recovery together, in seconds."""
        return self.steady_state.for_s + self.faults_end_s + self.recover_s

    def to_json(self) -> dict[str, Any]:
        """The experiment with every default filled in; keys as in YAML."""
        found = plain(self)
        return dict(found)
