"""Write `chirp.json`: a tone that rises from 0.02 to 0.4 cycles per sample, and grows louder.

python model_repository/samples/windows/chirp.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

LENGTH, LOWEST, HIGHEST = 1024, 0.02, 0.4


def main() -> None:
    at = np.arange(LENGTH)
    phase = 2 * np.pi * (LOWEST * at + (HIGHEST - LOWEST) * at**2 / (2 * LENGTH))
    signal = np.sin(phase) * np.linspace(0.2, 1.0, LENGTH)
    text = json.dumps({"signal": [round(float(value), 4) for value in signal]})
    Path(__file__).with_name("chirp.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
