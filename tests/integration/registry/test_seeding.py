"""A registry filled for benchmarks: what is there, and that it is filled once."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from control_plane.registry.models import Alias, Model, ModelVersion, VersionState

pytestmark = pytest.mark.django_db


def test_models_versions_and_aliases_are_there() -> None:
    out = io.StringIO()
    call_command("seed_registry", models=3, versions=4, stdout=out)
    assert out.getvalue() == "3 models, 12 versions\n"
    assert list(Model.objects.values_list("name", flat=True)) == [
        "seeded-00001",
        "seeded-00002",
        "seeded-00003",
    ]
    ready = ModelVersion.objects.filter(state=VersionState.READY, model__name="seeded-00002")
    assert sorted(ready.values_list("number", flat=True)) == [1, 2, 3, 4]
    assert set(Alias.objects.values_list("name", "version__number")) == {("champion", 4)}


def test_what_is_filled_is_not_filled_again() -> None:
    call_command("seed_registry", models=1, versions=1, stdout=io.StringIO())
    with pytest.raises(CommandError, match="already"):
        call_command("seed_registry", models=1, versions=1)
    with pytest.raises(CommandError, match="at least one"):
        call_command("seed_registry", models=0, versions=1)
    assert Model.objects.count() == 1
