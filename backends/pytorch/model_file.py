"""Which file of a version is the model, and of which kind it is; without PyTorch."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from settings import SettingError


def model_path(config: dict[str, Any], version_folder: Path) -> Path:
    """The model's file: the configured name, or model.pt, or model.pt2.

    Raises:
        SettingError: there is none.
    """
    named = config.get("default_model_filename")
    candidates = [
        version_folder / name for name in ([named] if named else ["model.pt", "model.pt2"])
    ]
    for path in candidates:
        if path.is_file():
            return path
    raise SettingError(f"unable to find '{candidates[0]}'")


def is_exported(path: Path) -> bool:
    """True for what torch.export.save wrote; TorchScript has another archive.

    Raises:
        SettingError: it is neither.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.rpartition("/")[2] == "archive_format" for name in archive.namelist())
    except (zipfile.BadZipFile, OSError) as error:
        raise SettingError(
            f"'{path.name}' is neither TorchScript nor torch.export: {error}"
        ) from None
