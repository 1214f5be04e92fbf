from __future__ import annotations

from pathlib import Path

import pytest

from control_plane.adapters.secret_files import SECRETS, SecretFileError, with_secrets
from stack.settings import SettingsError, load, load_secrets


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_lies_in_the_file_that_is_named(tmp_path: Path, name: str) -> None:
    file = tmp_path / "secret"
    file.write_text("hidden\n")
    assert with_secrets({f"{name}_FILE": str(file), "OTHER": "1"})[name] == "hidden"
    assert with_secrets({name: "said", f"{name}_FILE": ""})[name] == "said"
    assert name not in with_secrets({})


@pytest.mark.parametrize("name", SECRETS)
def test_what_is_handed_on_is_read_again_by_whoever_gets_it(tmp_path: Path, name: str) -> None:
    file = tmp_path / "secret"
    file.write_text("hidden\n")
    handed_on = with_secrets({f"{name}_FILE": str(file)})
    assert with_secrets(handed_on)[name] == "hidden"


def test_what_cannot_be_used_is_refused_by_the_variables_name(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for there in ("none", "empty", "binary"):
        with pytest.raises(SecretFileError, match="DATABASE_URL_FILE"):
            with_secrets({"DATABASE_URL_FILE": str(tmp_path / there)})
    both = {"NEREID_SECRET_KEY": "hidden", "NEREID_SECRET_KEY_FILE": str(tmp_path / "empty")}
    with pytest.raises(SecretFileError, match="both set") as refused:
        with_secrets(both)
    assert "hidden" not in str(refused.value)


def test_the_stack_reads_them_too(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("from-a-file")
    home = {"NEREID_HOME": str(tmp_path / "home")}
    (tmp_path / "home").mkdir()
    settings = load(home | {"NEREID_TRITON_CONTROL_KEY_FILE": str(file)})
    assert load_secrets(settings).control_key == "from-a-file"
    with pytest.raises(SettingsError, match="NEREID_SECRET_KEY_FILE"):
        load(home | {"NEREID_SECRET_KEY_FILE": str(tmp_path / "none")})
