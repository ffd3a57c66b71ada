import shutil
from pathlib import Path

from pml_potential.benchmark.config.run_folder import audit_folder
from pml_potential.benchmark.config.schema import Dataset
from pml_potential.benchmark.report.audit_report import read_audit
from pml_potential.benchmark.report.auditing import audit_dataset, audit_run
from tests.benchmark.conftest import Experiment
from tests.benchmark.data.datasets.test_audit import write_photographs


def test_an_audit_lies_where_runs_beside_it_look(tmp_path: Path) -> None:
    root, runs = write_photographs(tmp_path / "data"), tmp_path / "runs"
    found, sheet = audit_dataset(Dataset(name="folder", root=str(root)), runs)
    folder = audit_folder(runs, "folder", found.images.sha256)
    assert sheet == folder / "index.html"
    assert read_audit(folder, found.images.sha256) is not None
    assert len(list((runs / "picture_hashes").glob("*.hashes"))) == 1
    assert len(list((runs / "hashes").glob("*.json"))) == 1


def test_the_folds_are_those_of_the_protocol(tmp_path: Path) -> None:
    root = write_photographs(tmp_path / "data", classes=7)
    dataset = Dataset(name="folder", root=str(root))
    assert audit_dataset(dataset, tmp_path / "runs", folds=4)[0].parts is None
    assert audit_dataset(dataset, tmp_path / "runs", folds=1)[0].parts is not None


def test_a_run_is_audited_by_its_own_images(experiment: Experiment, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(experiment.folder, tmp_path / "runs" / "mine"))
    found, sheet, ranking, labels = audit_run(folder)
    assert found.images.sha256 == ranking.images.sha256 == experiment.results["data"]["sha256"]
    assert sheet.parent.parent == tmp_path / "runs" / "audits"
    assert labels == folder / "audit" / "labels.html"
    assert labels.is_file()
