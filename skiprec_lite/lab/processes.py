"""Training in several processes, by torch's own engine: torchrun --nproc-per-node=2 -m skiprec_lite train."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from skiprec_lite.backbones import asked_device
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.stages import Stage
from skiprec_lite.windows import Windows


@contextmanager
def joined(device: str) -> Iterator[tuple[str, bool]]:
    """Join the processes that torchrun has started, if it has: where this one computes, and whether it may write."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield device, True
        return
    if rank := int(os.environ["RANK"]):
        sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - the first alone reports
    signal.signal(signal.SIGTERM, _ended)
    cuda = asked_device(device).type == "cuda"
    distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield f"cuda:{os.environ['LOCAL_RANK']}" if cuda else device, rank == 0
    except RuntimeError as error:
        if isinstance(error, distributed.DistError) or "gloo" in str(error):
            _ended()
        raise
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it ends anyway: nothing comes between it and its one line
        distributed.destroy_process_group()


def _ended(*_: object) -> None:
    """Stop with one line: an exit, for a RuntimeError in the middle of anything might be caught by who expects one."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit("error: another process of this training has ended, so it stops; older weights are as they were")


def shared(stages: list[Stage], model: nn.Module) -> list[Stage]:
    """Stages that all processes run together: each takes a share of a batch's rows, the gradient is the batch's."""
    engine: list[DistributedDataParallel] = []  # made at the first step: by then the model is where it computes
    together = partial(_on_a_share, engine, model) if distributed.is_initialized() else None
    return [replace(stage, loss=partial(together, stage.loss)) if together else stage for stage in stages]


class _Step(nn.Module):
    """The forward pass that the engine watches: its parameters are the model's."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, loss: Any, *given: Any) -> Tensor:
        return loss(*given)


def _on_a_share(engine: list, model: nn.Module, loss: Any, part: nn.Module, batch: Windows, *cost: float) -> Tensor:
    if not engine:
        engine.append(DistributedDataParallel(_Step(model), find_unused_parameters=isinstance(model, SkipRec)))
    rank, number = distributed.get_rank(), distributed.get_world_size()
    mine, seed = batch.rows(slice(rank, None, number)), int(torch.randint(2**62, ()))
    share = int(mine.scored().sum()) / int(batch.scored().sum())  # the loss is a mean over these, the gates' over rows
    given = [c * len(mine) / len(batch) / share if share else 0.0 for c in cost]
    with torch.random.fork_rng(devices=[]):  # orders and cuts are common, dropout and gates each process's own
        torch.manual_seed(seed + rank)
        own = engine[0](loss, part, mine if share else batch, *given) * share * number
    mean = own.detach().clone()
    distributed.all_reduce(mean)
    return own + (mean / number - own.detach())  # the value is the whole batch's, the gradient this share's
