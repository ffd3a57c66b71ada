"""What all functions keep to: they are what the classes compute, and refuse what the classes refuse."""

import re
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from pml_potential import functional
from tests.functional.function_cases import (
    FUNCTIONS,
    PROXY_LABELS,
    Function,
    each_energy,
    each_function,
    each_with_vectors,
)
from tests.losses.loss_cases import batch, build, embeddings_with, labels_with

ALONE = """
import sys
import pml_potential.functional
wanted = {"torch", "numpy", "pml_potential"}
known = set(sys.stdlib_module_names) | wanted
from_torch = set(sys.argv[1:])
print(*sorted({name.partition(".")[0] for name in sys.modules} - known - from_torch))
"""


def modules_of(code: str, *arguments: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_functions_need_torch_and_nothing_else() -> None:
    of_torch = (
        "import sys, torch, torch.utils.checkpoint\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    assert modules_of(ALONE, *modules_of(of_torch)) == []


def test_the_functions_work_where_pml_cannot_be_imported() -> None:
    code = (
        "import sys; sys.modules['pytorch_metric_learning'] = None\n"
        "import torch\nfrom pml_potential import GradientCache, functional\n"
        "print(functional.potential_field_energy(torch.eye(2), torch.tensor([0, 1])).tolist())"
    )
    assert modules_of(code)


def test_all_functions_are_tested_here() -> None:
    public = {name for name in functional.__all__ if name.islower()}
    assert public == {function.name for function in FUNCTIONS}


def as_class(function: Function, dtype: torch.dtype, **settings: Any) -> Any:
    return build(function.loss_class, dtype, **settings)


def vectors_of(loss: Any) -> Tensor | None:
    (*vectors,) = loss.parameters()
    return vectors[0].detach().clone().requires_grad_() if vectors else None


def results(value: Tensor, *variables: Tensor | None) -> list[Any]:
    value.backward()
    return [value.detach(), *(each.grad for each in variables if each is not None)]


@pytest.mark.parametrize("has_settings", [False, True], ids=["defaults", "settings"])
@pytest.mark.parametrize("classes", [(0, 1, 2, 3), (2, 0), (3,)])
@each_function
def test_value_and_gradients_are_those_of_the_class(
    function: Function, classes: tuple[int, ...], has_settings: bool
) -> None:
    settings = function.settings if has_settings else {}
    loss = as_class(function, torch.float64, **settings)
    embeddings, labels = batch(torch.float64, classes=classes)
    vectors, again = vectors_of(loss), embeddings.detach().clone().requires_grad_()
    found = results(function.value(again, labels, vectors, **settings), again, vectors)
    expected = results(loss(embeddings, labels), embeddings, *loss.parameters())
    assert found[1].abs().max() > 0
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@each_function
def test_defaults_are_those_of_the_class(function: Function) -> None:
    loss = as_class(function, torch.float64)
    embeddings, labels = batch(torch.float64)
    defaults = {name: getattr(loss, name) for name in function.settings}
    value = function.value(embeddings, labels, vectors_of(loss))
    assert value == function.value(embeddings, labels, vectors_of(loss), **defaults)


@each_function
def test_lengths_of_vectors_do_not_matter(function: Function) -> None:
    embeddings, labels = batch(torch.float64)
    vectors = vectors_of(as_class(function, torch.float64))
    longer = None if vectors is None else 3 * vectors
    torch.testing.assert_close(
        function.value(7 * embeddings, labels, longer), function.value(embeddings, labels, vectors)
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@each_function
def test_half_precision_and_autocast_compute_in_float32(function: Function, dtype: torch.dtype) -> None:
    embeddings, labels = batch(dtype)
    vectors = vectors_of(as_class(function, torch.float32))
    with torch.autocast("cpu", torch.bfloat16):
        value = function.value(embeddings, labels, vectors)
    value.backward()
    assert value.dtype == torch.float32
    assert embeddings.grad is not None
    assert embeddings.grad.dtype == dtype
    assert value == function.value(embeddings.float(), labels, vectors)


@each_function
def test_a_plain_loop_learns(function: Function) -> None:
    images, labels = batch(size=24)[0].detach(), batch(size=24)[1]
    torch.manual_seed(0)
    network = torch.nn.Linear(3, 3)
    vectors = vectors_of(as_class(function, torch.float32))
    variables = [*network.parameters(), *([] if vectors is None else [vectors])]
    optimizer = torch.optim.Adam(variables, lr=0.05)
    values = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = function.value(network(images), labels, vectors)
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < values[0]


BAD: list[tuple[Any, Any, type[Exception], str]] = [
    (batch()[0], labels_with(-3), ValueError, "labels holds -3; classes are numbered from 0"),
    (batch()[0], batch()[1][:7], ValueError, "labels has shape (7,); it must be (12,)"),
    (batch()[0], batch()[1].float(), TypeError, "labels has dtype torch.float32"),
    (batch()[0], None, ValueError, "labels is None"),
    (torch.ones(0, 3), torch.ones(0).long(), ValueError, "embeddings has shape (0, 3)"),
    (torch.ones(12), batch()[1], ValueError, "embeddings has shape (12,)"),
    (torch.ones(12, 3).long(), batch()[1], TypeError, "embeddings has dtype torch.int64"),
    (embeddings_with(float("nan")), batch()[1], functional.NonFiniteError, "embeddings[5] has the norm"),
]


@pytest.mark.parametrize(("embeddings", "labels", "error", "message"), BAD)
@each_function
def test_what_the_class_refuses_is_refused_in_the_same_words(
    function: Function, embeddings: Any, labels: Any, error: type[Exception], message: str
) -> None:
    loss = as_class(function, torch.float32)
    with pytest.raises(error, match=re.escape(message)) as of_class:
        loss(embeddings, labels)
    with pytest.raises(error) as of_function:
        function.value(embeddings, labels, vectors_of(loss))
    assert str(of_function.value) == str(of_class.value)


@each_function
def test_numbers_out_of_range_are_refused_in_the_same_words(function: Function) -> None:
    for name in function.settings:
        with pytest.raises(ValueError, match=rf"^{name} is -7; it must lie in") as of_class:
            as_class(function, torch.float32, **{name: -7})
        with pytest.raises(ValueError, match="it must lie in") as of_function:
            function.value(*batch(), vectors_of(as_class(function, torch.float32)), **{name: -7})
        assert str(of_function.value) == str(of_class.value)


@each_function
def test_checks_of_values_can_be_left_out(function: Function) -> None:
    vectors = vectors_of(as_class(function, torch.float32))
    embeddings, labels = embeddings_with(float("nan")), batch()[1]
    # A field passes over a point that is nowhere.
    assert function.value(embeddings, labels, vectors, check_finite=False).shape == ()
    with pytest.raises(TypeError, match="check_finite is 1; it must be True or False"):
        function.value(embeddings, labels, vectors, check_finite=1)


@each_with_vectors
def test_class_vectors_that_do_not_fit_are_refused(function: Function) -> None:
    embeddings, labels = batch()
    vectors = vectors_of(as_class(function, torch.float32))
    assert vectors is not None
    name = function.vectors
    extra = [PROXY_LABELS] if name == "proxies" else []
    with pytest.raises(ValueError, match=f"{name}|embeddings"):
        function.value(embeddings, labels, vectors[:, :2])
    with pytest.raises(ValueError, match=f"{name} are on meta and the embeddings on cpu"):
        function.value(embeddings, labels, vectors.to("meta"))
    with pytest.raises(functional.NonFiniteError, match=f"{name} hold NaN or infinity"):
        function.value(embeddings, labels, vectors.detach() * torch.inf)
    with pytest.raises(TypeError, match=f"{name} is a list; it must be a torch.Tensor"):
        function(embeddings, labels, vectors.tolist(), *extra)


@each_energy
def test_proxies_and_their_labels_go_together(function: Function) -> None:
    embeddings, labels = batch()
    with pytest.raises(ValueError, match="proxy_labels is None; proxies and proxy_labels go together"):
        function(embeddings, labels, torch.ones(4, 3))
    with pytest.raises(ValueError, match="proxies is None; proxies and proxy_labels go together"):
        function(embeddings, labels, proxy_labels=torch.arange(4))
    with pytest.raises(ValueError, match="proxy_labels holds -1"):
        function(embeddings, labels, torch.ones(4, 3), torch.arange(4) - 1)
    shape = r"^proxies has shape \(4,\); it must be \(number of proxies, embedding_size\)"
    with pytest.raises(ValueError, match=shape):
        function(embeddings, labels, torch.ones(4), torch.arange(4))
    with pytest.raises(ValueError, match=r"^embeddings has shape \(12, 3\); it must be \(batch_size, 2"):
        function(embeddings, labels, torch.ones(4, 2), torch.arange(4))


def test_a_label_without_a_mean_field_is_refused() -> None:
    with pytest.raises(ValueError, match="labels holds 4; with num_classes=4 the largest label is 3"):
        functional.mean_field_contrastive_loss(batch()[0], labels_with(4), torch.ones(4, 3))
