"""What a person does on a model's pages, in a real browser, by keyboard."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from nereid import Client
from tests.e2e.console.conftest import Watched
from tests.support.serving import CHECKOUT, ServingStack

NAME = "console-names"
SAMPLES = CHECKOUT / "model_repository" / "samples" / "digits"


@pytest.fixture(scope="module")
def versions(serving_stack: ServingStack) -> str:
    """A model of these tests' own with two ready versions that serve nowhere."""
    with Client(serving_stack.api, serving_stack.token) as nereid:
        nereid.create_model(NAME, "Two versions, **side by side**")
        for number in ("v1", "v2"):
            nereid.push(NAME, SAMPLES / number / "model.onnx", metrics={"loss": 1.0}, wait=True)
        nereid.update_version(NAME, 2, metrics={"loss": 0.5})
    return NAME


def open_model(tab: Watched) -> Page:
    page = tab.open(f"/console/registry/model/?q={NAME}")
    page.get_by_role("link", name=NAME, exact=True).click()
    return page


def test_an_alias_is_set_by_keyboard_and_versions_are_compared(tab: Watched, versions: str) -> None:
    page = open_model(tab)
    expect(page.locator(".n-markdown strong")).to_have_text("side by side")
    compared = page.get_by_role("region", name="Comparison of versions")
    expect(compared.locator("tr", has_text="loss")).to_contain_text("0.5 best")
    page.get_by_label("Name of a new alias").focus()
    page.keyboard.type("champion")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("@champion points to v2")).to_be_visible()
    page.get_by_label("Version of champion").select_option("1")
    page.get_by_role("button", name="Point here").press("Enter")
    expect(page.get_by_text("@champion points to v1")).to_be_visible()
    page.get_by_role("button", name="Remove the alias champion").press("Enter")
    expect(page.get_by_text("No aliases yet")).to_be_visible()


def test_a_version_is_archived_and_brought_back(tab: Watched, versions: str) -> None:
    page = open_model(tab)
    page.get_by_role("region", name="List of versions").get_by_role("link", name="v1").click()
    page.get_by_role("link", name="Archive").click()
    expect(page.get_by_text("No policy may name it from then on")).to_be_visible()
    page.get_by_label("Why").fill("worse than version 2")
    page.get_by_role("button", name="Archive").click()
    expect(page.get_by_text("Archived: worse than version 2")).to_be_visible()
    page.get_by_role("link", name="Bring back").click()
    page.get_by_role("button", name="Bring back").click()
    expect(page.get_by_text(re.compile("is being validated"))).to_be_visible()


def test_a_version_is_uploaded_with_what_is_said_of_it(tab: Watched, versions: str) -> None:
    page = open_model(tab)
    page.get_by_role("link", name="Upload version").click()
    page.get_by_label("Model file").set_input_files(SAMPLES / "v1" / "model.onnx")
    figures = page.locator("[data-edit]", has=page.get_by_role("button", name="Add a figure"))
    figures.get_by_label("Name of the figure").first.fill("loss")
    figures.get_by_label("Figure", exact=True).first.fill("much")
    figures.get_by_role("button", name="Add a figure").press("Enter")
    page.keyboard.type("holdout")
    expect(figures.get_by_label("Data set").last).to_have_value("holdout")
    figures.get_by_label("Data set").last.fill("")
    page.get_by_role("button", name="Save").click()
    expect(figures.get_by_text("'much' is no number")).to_be_visible()
    expect(figures.get_by_label("Data set").first).to_be_focused()
    figures.get_by_label("Figure", exact=True).first.fill("0.25")
    page.get_by_label("Model file").set_input_files(SAMPLES / "v1" / "model.onnx")
    page.get_by_label("Git commit").fill("beef1234")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("beef1234")).to_be_visible()
    expect(page.get_by_text("0.25").first).to_be_visible()
