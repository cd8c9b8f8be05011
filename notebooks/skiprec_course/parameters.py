"""Modules of a reader's own: their parameters by kind, random numbers for them, and their gradients."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from skiprec_course.comparing import describe, difference
from skiprec_course.engine import Trial


def by_kind(module: nn.Module, num_items: int = 0) -> dict[str, list[nn.Parameter]]:
    """A module's parameters by what they are for: "LayerNorm bias", "output weight", …, each kind in its order."""
    owners = dict(module.named_modules(remove_duplicate=False))
    kinds: dict[int, str] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        owner, own = owners[name.rpartition(".")[0]], name.rpartition(".")[2]
        kind = _kind(owner, own, parameter, num_items)
        if id(parameter) not in kinds or kind == "embedding":  # a tied weight is the embedding's
            kinds[id(parameter)] = kind
    found: dict[str, list[nn.Parameter]] = {}
    for parameter in module.parameters():
        found.setdefault(kinds[id(parameter)], []).append(parameter)
    return found


def _kind(owner: nn.Module, name: str, parameter: Tensor, num_items: int) -> str:
    if type(owner).__module__.startswith("torch.nn") and "Norm" in type(owner).__name__:
        return f"{type(owner).__name__} {name}"
    if parameter.numel() == 1:
        return "scale"
    if num_items and len(parameter) in (num_items, num_items + 1):
        if parameter.dim() == 2:
            return "embedding" if isinstance(owner, nn.Embedding) or "emb" in name else "output weight"
        return "output bias"
    return {1: "bias", 2: "linear weight", 3: "convolution weight"}.get(parameter.dim(), "parameter of another kind")


def fill(
    trial: Trial,
    module: nn.Module,
    like: nn.Module,
    num_items: int = 0,
    **given: Any,
) -> nn.Module:
    """Give a module the random parameters that every module of the same kinds gets, in float64 and eval mode.

    An output layer may have a row for padding or none; a scale is any parameter of one number. `given` is what the
    module was built with, for the message.
    """
    if not isinstance(module, nn.Module):
        trial.fail(f"found {describe(module)}, expected a torch.nn.Module", "derive your class from nn.Module", **given)
    module.double()
    wanted, mine = by_kind(like, num_items), by_kind(module, num_items)
    in_order = [(kind, w) for kind, of in wanted.items() for w in of]
    if {kind: len(of) for kind, of in mine.items()} == {kind: len(of) for kind, of in wanted.items()}:
        pairs = [(kind, w, p) for kind, of in wanted.items() for w, p in zip(of, mine[kind])]
    elif _by_hand(mine) and [p.shape for p in module.parameters()] == [p.shape for p in like.parameters()]:
        by_shape = {id(w): p for w, p in zip(like.parameters(), module.parameters())}
        pairs = [(kind, w, by_shape[id(w)]) for kind, w in in_order]
    else:
        for kind in sorted({**wanted, **mine}, key=lambda kind: kind != "convolution weight"):  # a lost block first
            have, want = len(mine.get(kind, [])), len(wanted.get(kind, []))
            if have != want:
                trial.fail(
                    f"the module has {have} parameter{'s' * (have != 1)} of the kind “{kind}”, expected {want}",
                    "",
                    **given,
                )
    drawn = torch.Generator().manual_seed(trial.seed)
    with torch.no_grad():
        for kind, like_this, parameter in pairs:
            values = _values(kind, like_this, drawn)
            if kind == "scale":
                parameter.copy_(values.view(parameter.shape))
                continue
            rows = num_items if kind in ("output weight", "output bias") else len(values)
            if parameter.shape[1:] != values.shape[1:] or len(parameter) < rows:
                trial.fail(
                    f"a parameter of the kind “{kind}” has shape {tuple(parameter.shape)}, expected "
                    f"{tuple(values.shape)}",
                    "",
                    **given,
                )
            parameter[len(parameter) - rows :] = values[len(values) - rows :]
    return module.eval()


def _by_hand(kinds: dict[str, list[nn.Parameter]]) -> bool:
    """Whether there is no norm of torch's: a norm written by hand has parameters that look like any other."""
    return not any("Norm" in kind for kind in kinds)


def _values(kind: str, like: Tensor, generator: torch.Generator) -> Tensor:
    """Random numbers for a parameter: large enough that each one tells; an embedding's row of padding stays 0."""
    drawn = torch.randn(like.shape, generator=generator, dtype=torch.float64)
    if kind == "scale":
        return 0.6 + 0.1 * drawn.tanh()
    if kind == "embedding":
        drawn[0] = 0
        return drawn
    return 1 + 0.4 * drawn if kind == "LayerNorm weight" else 0.4 * drawn


def same_parameter_gradients(
    trial: Trial, run: Callable[[nn.Module], Tensor], modules: tuple[nn.Module, nn.Module], num_items: int = 0
) -> None:
    """Fail unless the gradients of a weighted sum at the answer's parameters are those at the package's."""
    found = []
    for module in modules:
        out = run(module)
        kept = torch.where(out.isfinite(), out, 0)
        weight = torch.linspace(-1, 2, kept.numel(), dtype=kept.dtype).view(kept.shape)
        kinds = by_kind(module, num_items)
        if not out.requires_grad:
            trial.fail("the output has no gradient", "a .detach(), .data or torch.no_grad() cuts it off")
        parameters = [p for of in kinds.values() for p in of]
        gradients = iter(torch.autograd.grad((kept * weight).sum(), parameters, allow_unused=True))
        found.append({kind: [_rows(next(gradients), p, kind, num_items) for p in of] for kind, of in kinds.items()})
    if found[0].keys() != found[1].keys():  # a norm written by hand
        return
    for kind, expected in found[1].items():
        if problem := difference(found[0][kind], expected):
            trial.fail(f"the gradient at the parameters of the kind “{kind}”: {problem}",
                       "something between them and the output is detached")  # fmt: skip


def _rows(gradient: Tensor | None, parameter: Tensor, kind: str, num_items: int) -> Tensor:
    gradient = torch.zeros_like(parameter) if gradient is None else gradient
    if kind == "scale":
        return gradient.reshape(1)
    return gradient[len(gradient) - num_items :] if kind in ("output weight", "output bias", "embedding") else gradient


def same_module(
    trial: Trial, built_from: tuple, *inputs: Tensor, num_items: int = 0, real: Tensor | None = None, **sizes: Any
) -> None:
    """Fail unless the answer's module and the package's, with the same random parameters, give and learn the same.

    Strict: they also start with the same weights and, in training mode, drop the same numbers.

    Args:
        trial: of which answer and package are.
        built_from: what the modules are built from, beside the sizes.
        *inputs: of the modules.
        num_items: of a model that scores items.
        real: what counts of the output: nobody sees what stands at padding.
        **sizes: keyword arguments to build the modules with.
    """

    def fresh(of: Any) -> Callable[..., Any]:
        def start(*given: Tensor, **sizes: Any) -> Any:
            module = of(*built_from, **sizes)
            return {"the first weights": dict(module.state_dict()), "its result": only_real(module(*given), real)}

        return start

    def filled(of: Any) -> nn.Module:
        return fill(trial, of(*built_from, **sizes), trial.reference(*built_from, **sizes), num_items, **sizes)

    single = [x.float() if x.is_floating_point() else x for x in inputs]
    if trial.strict:
        trial.same_results(fresh, *single, **sizes)
    run = lambda of: lambda *given, **sizes: only_real(filled(of)(*given), real)
    trial.same_results(run, *inputs, gradients=any(x.is_floating_point() for x in inputs), **sizes)
    with trial.of_the_answer(**sizes):
        modules = filled(trial.answer), filled(trial.reference)
    trial.call(modules[0], *inputs)  # leaves what it was given as it was
    same_parameter_gradients(trial, lambda m: only_real(m(*inputs), real), modules, num_items)
    with trial.of_the_answer(*single, **sizes):
        found = trial.answer(*built_from, **sizes)(*single)
    trial.require(found.dtype == torch.float32, f"given float32 it returned {found.dtype}", "convert the result back")


def only_real(out: Any, real: Tensor | None) -> Any:
    """What a module returned, 0 where there is padding."""
    if real is None or type(out) is not Tensor or out.shape[:-1] != real.shape:
        return out
    return out.masked_fill(~real.unsqueeze(-1), 0)
