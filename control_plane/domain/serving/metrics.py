"""The model's own say in Triton's metrics: where the buckets of its histograms lie."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from annotated_types import Len
from pydantic import Field

from control_plane.domain.serving.section import Section, Word

Bucket = Annotated[float, Field(allow_inf_nan=False)]


class HistogramOptions(Section):
    """The upper bounds of a histogram's buckets, ascending; one without bound comes last."""

    buckets: Annotated[tuple[Bucket, ...], Len(1, 200)] = Field(
        description="In the metric's own unit."
    )


class MetricIdentifier(Section):
    """Which of Triton's metrics is meant."""

    family: Word = Field(description="Its name: `nv_inference_first_response_histogram_ms`.")


class MetricControl(Section):
    """One metric of the model, otherwise than the server has it."""

    metric_identifier: MetricIdentifier
    histogram_options: HistogramOptions


class ModelMetrics(Section):
    """Metrics that Triton counts otherwise for this model (from Triton 2.52 on)."""

    metric_control: Annotated[tuple[MetricControl, ...], Len(1, 64)] = Field(
        description="Each metric once."
    )

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """(place, what is wrong) of what Triton would refuse."""
        families: set[str] = set()
        for i, control in enumerate(self.metric_control):
            where = f"/metric_control/{i}"
            family = control.metric_identifier.family
            if family in families:
                yield f"{where}/metric_identifier/family", f"{family!r} is said twice"
            families.add(family)
            buckets = control.histogram_options.buckets
            if list(buckets) != sorted(set(buckets)):
                yield f"{where}/histogram_options/buckets", "they do not ascend"
