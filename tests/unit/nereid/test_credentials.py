import json
import stat
from pathlib import Path

import pytest

from nereid import config
from nereid.errors import NotConfiguredError

HERE = "http://127.0.0.1:8080"
THERE = "https://nereid.example.com"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    return tmp_path


@pytest.fixture
def env(folder: Path) -> dict[str, str]:
    return {"XDG_CONFIG_HOME": str(folder / "config")}


def running_stack(home: Path, api: str = HERE) -> None:
    home.mkdir(parents=True, exist_ok=True)
    document = {"api": api, "token": "nrd_stack", "triton": {"grpc": "127.0.0.1:8001"}}
    (home / "stack.json").write_text(json.dumps(document))


def test_nothing_known_says_what_to_start(folder: Path, env: dict[str, str]) -> None:
    with pytest.raises(NotConfiguredError, match="make serve"):
        config.resolve(env=env, cwd=folder)


def test_the_stack_is_found_from_a_folder_below_the_checkout(
    folder: Path, env: dict[str, str]
) -> None:
    running_stack(folder / ".nereid")
    below = folder / "src" / "deep"
    below.mkdir(parents=True)
    found = config.resolve(env=env, cwd=below)
    assert (found.api, found.token) == (HERE, "nrd_stack")


def test_a_named_home_is_the_only_one_looked_in(folder: Path, env: dict[str, str]) -> None:
    running_stack(folder / ".nereid")
    assert config.find_stack({**env, "NEREID_HOME": str(folder / "other")}, folder) is None
    running_stack(folder / "other", api="http://127.0.0.1:9999")
    found = config.find_stack({**env, "NEREID_HOME": str(folder / "other")}, folder)
    assert found is not None
    assert found.api == "http://127.0.0.1:9999"
    assert found.triton("grpc") == "127.0.0.1:8001"
    assert found.triton("http") is None


def test_each_source_is_outranked_by_the_next(folder: Path, env: dict[str, str]) -> None:
    running_stack(folder / ".nereid")
    config.write_login(THERE, "nrd_login", env)
    found = config.resolve(env=env, cwd=folder)
    assert (found.api, found.token) == (THERE, "nrd_login")

    env |= {"NEREID_API": "http://env:1", "NEREID_TOKEN": "nrd_env"}
    found = config.resolve(env=env, cwd=folder)
    assert (found.api, found.token, found.source) == ("http://env:1", "nrd_env", "NEREID_API")

    found = config.resolve("http://flag:2", "nrd_flag", env=env, cwd=folder)
    assert (found.api, found.token) == ("http://flag:2", "nrd_flag")


def test_a_stored_token_goes_only_where_it_was_stored_for(
    folder: Path, env: dict[str, str]
) -> None:
    running_stack(folder / ".nereid")
    config.write_login(THERE, "nrd_login", env)
    with pytest.raises(NotConfiguredError, match="No token for http://elsewhere"):
        config.resolve("http://elsewhere", env=env, cwd=folder)
    # The stack's address is named by hand: its own token fits, the login's would not.
    assert config.resolve(f"{HERE}/", env=env, cwd=folder).token == "nrd_stack"


def test_a_login_is_for_its_owner_alone_and_can_be_forgotten(
    folder: Path, env: dict[str, str]
) -> None:
    path = config.write_login(f"{THERE}/api/v1/", "nrd_login", env)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == {"api": THERE, "token": "nrd_login"}
    assert list(path.parent.iterdir()) == [path]
    assert config.forget_login(env) is True
    assert config.forget_login(env) is False


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("localhost:8080", "http://localhost:8080"),
        ("http://Host:8080/", "http://host:8080"),
        ("https://host/api/v1/", "https://host"),
        ("https://host/nereid/api/v1", "https://host/nereid"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_an_address_has_one_form(text: str, meant: str) -> None:
    assert config.origin(text) == meant


@pytest.mark.parametrize("text", ["ftp://host", "http://", "http://host:port"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(NotConfiguredError, match="address"):
        config.origin(text)


def test_a_broken_file_is_named(folder: Path, env: dict[str, str]) -> None:
    running_stack(folder / ".nereid")
    (folder / ".nereid" / "stack.json").write_text("{")
    with pytest.raises(NotConfiguredError, match=r"stack\.json cannot be read"):
        config.resolve(env=env, cwd=folder)
