"""Files and folders of a run: the one place that knows their names."""

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run.

    Attributes:
        path: folder of the run.

    Examples:
        >>> run = RunFolder(Path("runs/quick"))
        >>> fold_folder(run.reproduction(0), 2).as_posix()
        'runs/quick/reproductions/0000/fold_2'
    """

    path: Path

    @property
    def configuration(self) -> Path:
        """The configuration that the run was started with."""
        return self.path / "config.yaml"

    @property
    def identity(self) -> Path:
        """Hashes of the images, splits and weights that it was started with."""
        return self.path / "identity.json"

    @property
    def environment(self) -> Path:
        """The machine and the versions that it was started with."""
        return self.path / "environment.json"

    @property
    def claim(self) -> Path:
        """Lock of the process that starts the run, asks for work or writes the report."""
        return self.path / ".claim"

    @property
    def database(self) -> Path:
        """Optuna's SQLite file, unless the run uses another storage."""
        return self.path / "study.db"

    @property
    def storage(self) -> Path:
        """The address of that other storage."""
        return self.path / "storage.json"

    @property
    def report(self) -> Path:
        """Folder of the report."""
        return self.path / "report"

    @property
    def results(self) -> Path:
        """All results, from which the report is made."""
        return self.report / "results.json"

    @property
    def retrieval(self) -> Path:
        """What the report shows of a model's embeddings, kept so that it is computed once."""
        return self.report / "retrieval.json"

    @property
    def analysis(self) -> Path:
        """Folder of the results of ``pml-potential analyze``."""
        return self.path / "analysis"

    @property
    def audit(self) -> Path:
        """Folder of the results of ``pml-potential datasets audit --run``."""
        return self.path / "audit"

    @property
    def feature_cache(self) -> Path:
        """Features of frozen trunks, shared with the runs beside this one."""
        return feature_cache(self.path.parent)

    def trial(self, number: int) -> Path:
        """Folder of a trial, counted from 0."""
        return self.path / "trials" / f"{number:04d}"

    def reproduction(self, number: int) -> Path:
        """Folder of a reproduction, counted from 0."""
        return self.path / "reproductions" / f"{number:04d}"


def feature_cache(runs: Path) -> Path:
    """Features of frozen trunks, for all runs in a folder."""
    return runs / "features"


def image_cache(features: Path) -> Path:
    """Decoded and resized images, beside the features."""
    return features.parent / "resized"


def hash_memory(features: Path, data: Path) -> Path:
    """File of the hashes of a data set's files, beside the features; named by the data's path."""
    name = hashlib.sha256(str(data.absolute()).encode()).hexdigest()[:32]
    return features.parent / "hashes" / f"{name}.json"


def picture_hash_cache(features: Path) -> Path:
    """Hashes that identify equal and near pictures, beside the features."""
    return features.parent / "picture_hashes"


def audit_folder(runs: Path, name: str, sha256: str) -> Path:
    """Folder of the audit of a data set, for all runs in a folder; named by the data set's hash.

    Examples:
        >>> audit_folder(Path("runs"), "glyphs", "2bf9ddab8114e91d").as_posix()
        'runs/audits/glyphs-2bf9ddab8114'
    """
    return runs / "audits" / f"{name}-{sha256[:12]}"


def fold_folder(piece: Path, fold: int) -> Path:
    """Folder of a fold, counted from 0, in the folder of its trial or reproduction."""
    return piece / f"fold_{fold}"
