"""The model card of an exported model: its description, scores and intended use."""

from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.data.datasets.catalogue import CATALOGUE
from pml_potential.benchmark.evaluation import PRIMARY_METRIC
from pml_potential.benchmark.files import write_text
from pml_potential.benchmark.models.trunks import takes_vectors
from pml_potential.benchmark.report.formatting import (
    duration,
    interval,
    metric_names,
    number,
    short_commit,
)
from pml_potential.benchmark.report.markdown import score_table
from pml_potential.benchmark.report.text_table import in_markdown
from pml_potential.benchmark.training.exported_model import ONNX_FILE

CARD_FILE = "README.md"

_LIBRARY = "pml-potential"


def check_place_for_card(folder: Path) -> None:
    """Raise if the card would overwrite a README that is not a model card.

    Raises:
        ConfigError: There is a README without the front matter of this package's cards.
    """
    path = folder / CARD_FILE
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    if not text.startswith("---\n") or f"\nlibrary_name: {_LIBRARY}\n" not in text:
        raise ConfigError(
            f"{path} is not a model card of pml-potential, and would be overwritten; give the model a "
            "folder of its own"
        )


def write_model_card(
    folder: Path, config: Config, results: dict[str, Any], reproduction: int, fold: int
) -> Path:
    """Write ``README.md`` beside an exported model, with the front matter that model hubs read.

    All of it is from the results, except the licence of a data set of the catalogue.

    Args:
        folder: of the model.
        config: of the run's best trial, as ``best_config`` reads it.
        results: from ``collect_results`` or ``results.json``.
        reproduction: which of its reproductions the model is from, from 0.
        fold: which of the reproduction's models it is, from 0.

    Returns:
        Path of the card.
    """
    environment = Environment(
        loader=PackageLoader("pml_potential.benchmark.report", "."),
        # Markdown, in which names are escaped by in_markdown.
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["in_markdown"] = in_markdown
    repetition = results["reproductions"][reproduction]
    scores = repetition.get("trained")
    folds = repetition["folds"]
    has_test = bool(results["test"])
    of_vectors = takes_vectors(config.model.trunk)
    text = environment.get_template("model_card.md.j2").render(
        front_matter=_front_matter(config, results),
        results=results,
        data=results["data"],
        protocol=config.protocol,
        loss=config.loss.name,
        size=config.model.embedding_size,
        fold_number=fold + 1,
        reproduction_number=reproduction + 1,
        has_onnx=(folder / ONNX_FILE).is_file(),
        things="vectors" if of_vectors else "pictures",
        example="vectors" if of_vectors else '["a.jpg", "b.jpg"]',
        seen=_seen(config),
        test=results["test"],
        table=score_table([config.loss.name], [results]).to_markdown() if has_test else "",
        repetitions=len(_test_scores(results)[PRIMARY_METRIC]["values"]) if has_test else 0,
        mean_of_reproduction=None if scores is None else scores["separated"][PRIMARY_METRIC],
        fold=folds[fold] if len(folds) == config.protocol.folds else None,
        noise=config.dataset.label_noise,
        training=_training(config, results, fold),
        data_licence=_licence(config.dataset.name),
    )
    path = folder / CARD_FILE
    write_text(path, text)
    return path


def _test_scores(results: dict[str, Any]) -> dict[str, Any]:
    """Scores of single models, as the exported one is used."""
    scores: dict[str, Any] = results["test"]["trained"]["separated"]
    return scores


def _front_matter(config: Config, results: dict[str, Any]) -> str:
    """Front matter for model hubs, as YAML."""
    loss, data, names = config.loss.name, results["data"], metric_names(results)
    of_vectors = takes_vectors(config.model.trunk)
    task = "feature-extraction" if of_vectors else "image-feature-extraction"
    retrieval = "Retrieval" if of_vectors else "Image retrieval"
    values: dict[str, Any] = {
        "license": "unknown",
        "library_name": _LIBRARY,
        "pipeline_tag": task,
        "tags": [
            "deep-metric-learning",
            retrieval.lower().replace(" ", "-"),
            "pytorch-metric-learning",
            loss,
        ],
        "datasets": [data["name"]],
        "metrics": list(names),
    }
    if results["test"]:
        scores = _test_scores(results)
        measured = [
            {
                "type": metric,
                "name": f"{name}, mean and 95% interval of {len(scores[metric]['values'])} "
                f"reproductions: {interval(scores[metric])}",
                "value": scores[metric]["mean"],
            }
            for metric, name in names.items()
        ]
        result = {
            "task": {"type": task, "name": retrieval},
            "dataset": {"type": data["name"], "name": data["name"], "split": "test"},
            "metrics": measured,
        }
        values["model-index"] = [{"name": f"{loss} on {data['name']}", "results": [result]}]
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=10**6)


def _seen(config: Config) -> str:
    """How the network's inputs are read, in a sentence."""
    if takes_vectors(config.model.trunk):
        return "`vectors` is an array or a tensor, a row for each, by the same encoder as in the run"
    crop, read = config.protocol.crop, "Pictures are read as in the run"
    if config.model.input is None:
        return f"{read}: whole, at their own size"
    side = f"{crop.size} x {crop.size} pixels"
    fits = {
        "crop": f"the shorter side resized to {crop.resize} pixels, and {side} of the middle kept",
        "squash": f"squashed to {side}",
        "pad": f"fitted into {side}, between borders of one colour",
    }
    return f"{read}: {fits[crop.fit]}"


def _training(config: Config, results: dict[str, Any], fold: int) -> dict[str, str]:
    """Facts about the training: names and values of a table."""
    data, protocol, made = results["data"], config.protocol, results["environment"]
    parts = {"training": f"fold {fold + 1}: train"}
    if protocol.folds > 1:
        parts["validation"] = f"fold {fold + 1}: validation"
    parts["the test"] = "test"
    counts = {part: data["classes_by_part"].get(key) for part, key in parts.items()}
    rows = {
        "data": f"{data['name']}: {data['images']} images of {data['classes']} classes",
        "SHA-256 of the data": data["sha256"],
        "classes": ", ".join(f"{count} for {part}" for part, count in counts.items() if count),
        "network": config.model.trunk,
        "pretrained weights": _weights(config, results),
        "protocol": f"{protocol.name}: {_division(protocol.folds)}, {len(results['trials'])} trials, "
        f"{len(results['reproductions'])} reproductions, batches of {protocol.batch_size} images",
    }
    rows |= {name: number(value) for name, value in results["best"]["params"].items()}
    return rows | {
        "seed of the run": str(results["seed"]),
        "time of all reproductions": duration(results["cost"]["reproductions"]["seconds"]),
        "machine": ", ".join([made["platform"], *made.get("gpus", [])]),
        "versions": ", ".join(f"{name} {version}" for name, version in made["packages"].items()),
        "commit of pml-potential": short_commit(made["commit"]),
    }


def _weights(config: Config, results: dict[str, Any]) -> str:
    if not results["weights_sha256"]:
        return "none"
    return f"{config.model.weights}, SHA-256 of the trunk {results['weights_sha256']}"


def _division(folds: int) -> str:
    return f"{folds}-fold cross-validation over classes" if folds > 1 else "one model"


def _licence(dataset: str) -> str:
    entry = CATALOGUE.get(dataset)
    return "" if entry is None else entry.licence
