"""What the commands share: their options, and errors in words."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from optuna.exceptions import StorageInternalError
from rich.console import Console

from pml_potential.benchmark.fold_trainer import DivergedError
from pml_potential.benchmark.schema import ConfigError
from pml_potential.benchmark.search import SearchFailedError
from pml_potential.benchmark.state_file import DamagedFileError

Preset = Annotated[str | None, typer.Argument(metavar="[PROTOCOL]", help="Short for --protocol.")]
ProtocolName = Annotated[str | None, typer.Option(help="How losses are judged.")]
DatasetName = Annotated[str, typer.Option(help="The images.")]
ModelName = Annotated[str, typer.Option(help="The network.")]
LossName = Annotated[str, typer.Option(help="The loss, with its search.")]
LossNames = Annotated[
    list[str] | None, typer.Option("--loss", help="A loss; give the option once for each of several.")
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Any value of the configuration."),
]
Folder = Annotated[
    Path | None, typer.Option(help="Folder of the run. Default: runs/ and the presets' names.")
]
Storage = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Database that Optuna keeps the studies in, such as postgresql+psycopg://user@host/name, "
        "or path of a journal file. Default: a SQLite file in the folder of the run.",
    ),
]
FoldProcesses = Annotated[
    int,
    typer.Option(min=1, help="Folds to train at a time, each in a process, with the next of the GPUs."),
]
Heartbeat = Annotated[
    int,
    typer.Option(
        min=1,
        help="Seconds between signs of life; a trial without one for three times as long is handed on.",
    ),
]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")]


def presets_of(
    preset: str | None, protocol: str | None, dataset: str, model: str, loss: str
) -> dict[str, str]:
    """Names of presets, by kind."""
    if preset is not None and protocol is not None and preset != protocol:
        fail(f"the protocol is given twice, as {preset!r} and as --protocol {protocol!r}")
    chosen = protocol or preset or "quick"
    return {"protocol": chosen, "dataset": dataset, "model": model, "loss": loss}


def default_folder(presets: dict[str, str]) -> Path:
    """Where the run of these presets goes."""
    return Path("runs") / "-".join(Path(name).stem for name in presets.values())


@contextmanager
def notes_as_lines(console: Console) -> Iterator[None]:
    """Tell warnings as lines, without the place in the source that they come from."""

    def tell(message: Warning | str, *_: Any, **__: Any) -> None:
        console.print(f"note: {message}", highlight=False, markup=False, soft_wrap=True)

    with warnings.catch_warnings():
        warnings.showwarning = tell
        yield


@contextmanager
def errors_in_words() -> Iterator[None]:
    """End with a line in place of a traceback, for whatever a person can mend."""
    try:
        yield
    except (ConfigError, DamagedFileError, DivergedError, SearchFailedError, OSError) as error:
        fail(str(error))
    except StorageInternalError as error:
        reason = error.__cause__ or error
        fail(f"the studies' database failed, and what has ended is kept: {str(reason).splitlines()[0]}")


@contextmanager
def stoppable(console: Console, folder: Path) -> Iterator[None]:
    """As ``errors_in_words``, with warnings as lines, for work that Ctrl-C stops and that goes on."""
    try:
        with errors_in_words(), notes_as_lines(console):
            yield
    except KeyboardInterrupt:
        console.print(f"\nStopped. The same command goes on with {folder}.", highlight=False)
        raise typer.Exit(130) from None


def fail(message: str) -> NoReturn:
    """Say what is wrong, and end."""
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(2)
