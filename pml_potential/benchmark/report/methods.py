"""A paragraph on how a run was made, in LaTeX, for the methods section of a paper."""

from typing import Any

from pml_potential.benchmark.evaluation import PRIMARY_METRIC
from pml_potential.benchmark.report.formatting import listed, number, short_commit
from pml_potential.benchmark.report.references import dataset_keys, loss_keys, trunk_keys
from pml_potential.benchmark.report.text_table import in_latex


def methods_paragraph(results: dict[str, Any]) -> str:
    """Say which network was trained on what, by which protocol and how often, citing the papers.

    Args:
        results: from ``collect_results`` or ``results.json``.

    Returns:
        A paragraph in LaTeX, without a line end; its keys are those of ``references.keys_of``.
    """
    sentences = [_training(results), _protocol(results), *_search(results), *_judging(results)]
    return " ".join([*sentences, _software(results)])


def _training(results: dict[str, Any]) -> str:
    config = results["config"]
    model, protocol = config["model"], config["protocol"]
    loss, dataset = config["loss"]["name"], results["data"]["name"]
    start = "with pretrained weights" if results["weights_sha256"] else "from random weights"
    part = " on features of its frozen trunk" if model.get("freeze_trunk") else ""
    text = (
        f"We trained {in_latex(model['trunk'])}{_cite(trunk_keys(model['trunk']))} {start}{part}, with "
        f"embeddings of {model['embedding_size']} dimensions, on {in_latex(dataset)}"
        f"{_cite(dataset_keys(config['dataset'].get('name', dataset)))} with {in_latex(loss)}"
        f"{_cite(loss_keys(loss))}"
    )
    if miner := config["loss"].get("miner"):
        text += f" and {in_latex(miner['name'])}"
    text += f", in batches of {protocol['batch_size']}"
    if most := protocol.get("max_epochs"):
        text += f" and at most {most} epochs of {protocol['iterations_per_epoch']} iterations"
    if noise := config["dataset"].get("label_noise"):
        text += rf"; {100 * noise:g}\% of the training labels were wrong on purpose"
    return f"{text}."


def _protocol(results: dict[str, Any]) -> str:
    folds = results["config"]["protocol"]["folds"]
    parts = results["data"]["classes_by_part"]
    if folds == 1:
        return (
            f"The epoch was selected on the {parts['test']} test classes, as in the protocol of earlier "
            "work, so scores are optimistic."
        )
    name = in_latex(results["config"]["protocol"]["name"])
    return (
        rf"Training followed the protocol of \cite{{musgrave2020metric}} (preset {name} of "
        f"pml-potential): {folds}-fold cross-validation over classes, with early stopping by "
        "validation MAP@R."
    )


def _search(results: dict[str, Any]) -> list[str]:
    params = results["best"]["params"]
    if not params:
        return []
    chosen = listed([f"{in_latex(path)} = {in_latex(number(value))}" for path, value in params.items()])
    part = "mean validation" if results["config"]["protocol"]["folds"] > 1 else "test"
    return [
        rf"Hyperparameters were chosen by {len(results['trials'])} trials of Optuna "
        rf"\cite{{akiba2019optuna}} that maximised the {part} MAP@R: {chosen}."
    ]


def _judging(results: dict[str, Any]) -> list[str]:
    if not results["test"]:
        return []
    count = len(results["test"]["trained"]["separated"][PRIMARY_METRIC]["values"])
    parts = results["data"]["classes_by_part"]
    if count == 1:
        return [f"We report one training run, judged on {parts['test']} test classes."]
    return [
        rf"We report means and 95\% confidence intervals (Student's $t$) over $n = {count}$ "
        f"training runs with different seeds, judged on {parts['test']} test classes that were not "
        "trained on."
    ]


def _software(results: dict[str, Any]) -> str:
    environment = results["environment"]
    packages = environment["packages"]
    cites = {
        "pml-potential": _cite(["pml-potential"]),
        "pytorch-metric-learning": _cite(["musgrave2020pytorch"]),
    }
    versions = {name: packages.get(name) for name in (*cites, "torch")}
    told = [
        f"{in_latex(name)}{cites.get(name, '')} {in_latex(version)}"
        for name, version in versions.items()
        if version
    ]
    text = f"Software: {listed(told)}" if told else "Software: pml-potential"
    return f"{text}; commit {in_latex(short_commit(environment['commit']))}, seed {results['seed']}."


def _cite(keys: list[str]) -> str:
    return rf" \cite{{{','.join(keys)}}}" if keys else ""
