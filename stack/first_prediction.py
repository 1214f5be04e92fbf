"""Run the sample in a process of its own: what it imports is large, and it can be interrupted.

`python -m stack.first_prediction <file>` shows its progress on the terminal and leaves what it
wants to have shown, rendered, in the file. The addresses and the token come by the environment,
where the list of processes does not show them.
"""

import os
import sys
from enum import StrEnum
from pathlib import Path

from rich.console import Console


class SampleChoice(StrEnum):
    """What is deployed when the stack is up: nothing, the first sample, or every one."""

    NONE = "none"
    FIRST = "first"
    ALL = "all"


API, TOKEN, GRPC = "NEREID_API", "NEREID_TOKEN", "NEREID_TRITON_GRPC"


def main(result_file: str) -> None:
    # After the argument is known to be there: it is slow.
    from stack.sample import SampleFailedError, run_sample

    console = Console()
    try:
        result = run_sample(os.environ[API], os.environ[TOKEN], os.environ[GRPC], console)
    except SampleFailedError as error:
        sys.exit(f"no prediction: {error}")
    with Path(result_file).open("w", encoding="utf-8") as file:
        page = Console(
            file=file, width=console.width, force_terminal=console.is_terminal, highlight=False
        )
        page.print(result.render())


if __name__ == "__main__":
    main(*sys.argv[1:])
