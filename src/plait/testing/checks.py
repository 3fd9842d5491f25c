"""What the kits share: running named checks, comparing tensors, and what holds for any module."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from plait.masks import masked_fill
from plait.types import Tokens

Case = TypeVar("Case")
Part = TypeVar("Part", bound=nn.Module)
# Two ways to the same float32 value differ by rounding only; a real dependence by far more.
TOLERANCE = 1e-4
NOTICEABLE = 1e-3


def require(condition: object, message: str) -> None:
    """Raise an `AssertionError` with the message, also under `python -O`."""
    if not condition:
        raise AssertionError(message)


def require_same(actual: Tensor, expected: Tensor, message: str) -> None:
    """Require equality up to float32 rounding; NaN equals nothing."""
    require(
        actual.shape == expected.shape,
        f"{message} (shapes {tuple(actual.shape)} and {tuple(expected.shape)})",
    )
    actual, expected = actual.detach(), expected.detach()
    if expected.numel():
        error = float((actual - expected).abs().max())
        limit = TOLERANCE * max(1.0, float(expected.abs().max()))
        require(error <= limit, f"{message} (largest difference {error:.2g})")


def require_different(actual: Tensor, expected: Tensor, message: str) -> None:
    """Require a difference well above rounding."""
    require(float((actual - expected).detach().abs().max()) > NOTICEABLE, message)


def run_checks(subject: str, checks: Sequence[Callable[[Case], None]], case: Case) -> None:
    """Run every check and report all that fail, by name.

    Raises:
        AssertionError: If at least one check fails; it lists each with its likely cause.
    """
    failures: list[str] = []
    first: Exception | None = None
    for check in checks:
        try:
            check(case)
        except AssertionError as error:
            failures.append(f"{check.__name__}: {error}")
        except Exception as error:
            failures.append(f"{check.__name__}: raised {type(error).__name__}: {error}")
            first = first or error
    if failures:
        listed = "\n- ".join(failures)
        raise AssertionError(
            f"{subject} breaks its contract in {len(failures)} of {len(checks)} checks:\n- {listed}"
        ) from first


def build_seeded(make: Callable[[], Part], seed: int) -> Part:
    """Build a module as if after some training, in training mode, with dropout off.

    Noise on every trainable parameter, so that a layer that starts at zero shows what it does;
    training mode, so that statistics over the batch show themselves.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = make()
        with torch.no_grad():
            for parameter in module.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter), alpha=0.1)
    module.train()
    for part in module.modules():
        if isinstance(part, _DropoutNd):
            part.eval()
    return module


def require_registered(module: nn.Module, *, floating_only: bool = False) -> None:
    """Require that every tensor and submodule is registered, so that it trains, moves and is saved.

    Args:
        module: What is searched, plain lists, tuples, dictionaries and dataclasses included.
        floating_only: Allow integer tensors, such as a cache of token ids.
    """
    known = {id(item) for item in (*module.parameters(), *module.buffers(), *module.modules())}
    hidden = [
        path
        for prefix, part in module.named_modules()
        for path, item in _walk(prefix, _plain_attributes(part), set())
        if id(item) not in known
        and not (floating_only and isinstance(item, Tensor) and not item.is_floating_point())
    ]
    require(
        not hidden,
        f"{', '.join(hidden)} hidden from PyTorch: never trained, saved or moved to a device. "
        "Likely a plain list or attribute; use nn.Parameter, register_buffer or nn.ModuleList",
    )


def _plain_attributes(module: nn.Module) -> dict[str, object]:
    return {
        name: value
        for name, value in vars(module).items()
        if name not in ("_parameters", "_buffers", "_modules")
    }


def _walk(path: str, value: object, seen: set[int]) -> Iterator[tuple[str, object]]:
    """Yield every tensor and module inside plain containers, with its path."""
    if isinstance(value, Tensor | nn.Module):
        yield path, value
        return
    if id(value) in seen:
        return
    seen.add(id(value))
    for key, item in _items(value):
        yield from _walk(f"{path}.{key}".lstrip("."), item, seen)


def _items(value: object) -> list[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return list(enumerate(value))
    if is_dataclass(value) and not isinstance(value, type):
        return [(item.name, getattr(value, item.name)) for item in fields(value)]
    return []


def require_gradients(module: nn.Module, total: Tensor) -> None:
    """Require that a scalar reaches every trainable parameter.

    A bias in front of a softmax or a normalisation has a gradient of zero by nature, so a bias
    need only be connected; a dead branch is known by its weights.
    """
    trained = {n: p for n, p in module.named_parameters() if p.requires_grad}
    if not trained:
        return
    require(total.requires_grad, "no parameter has any gradient. Likely all of it is detached")
    found = torch.autograd.grad(total, list(trained.values()), allow_unused=True)
    gradients = dict(zip(trained, found, strict=True))
    sizes = {n: 0.0 if g is None else float(g.abs().max()) for n, g in gradients.items()}
    # Rounding leaves about 1e-16 of the largest gradient where in truth there is none.
    floor = 1e-12 * max(sizes.values())
    dead = [
        name
        for name, gradient in gradients.items()
        if gradient is None or (sizes[name] <= floor and not name.endswith("bias"))
    ]
    require(
        not dead,
        f"no gradient for {', '.join(dead)}. Likely a dead branch: a layer whose result is "
        "dropped or detached, or a softmax over a single key",
    )


def real_values(tokens: Tokens) -> Tensor:
    """Return token values with zeros for what is not real: what any reader may see."""
    return masked_fill(tokens.values, tokens.mask.unsqueeze(-1).expand_as(tokens.values))


def require_token_gradients(module: nn.Module, tokens: Tokens) -> None:
    """Require that the real tokens, each number weighed differently, reach every parameter."""
    values = real_values(tokens)
    direction = torch.sin(torch.arange(values[0].numel())).view_as(values[0])
    require_gradients(module, (values * direction).sum())


def require_round_trip(first: Part, second: Part, run: Callable[[Part], Sequence[Tensor]]) -> None:
    """Require that `state_dict` carries everything: two differently seeded copies agree bit by bit.

    Args:
        first: Its state is loaded into `second`.
        second: The same class with another seed.
        run: Returns what a module computes.
    """
    second.load_state_dict(first.state_dict())
    expected, actual = run(first), run(second)
    same = len(actual) == len(expected) and all(
        torch.equal(a, e) for a, e in zip(actual, expected, strict=True)
    )
    require(
        same,
        "a copy with the same state_dict computes something else. Likely a tensor or random "
        "choice outside parameters and buffers",
    )
