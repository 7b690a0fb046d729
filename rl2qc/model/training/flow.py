"""Fitting: the flow on fixed features, or backbone and flow together."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rl2qc.core.progress import Progress, track
from rl2qc.errors import WorkError
from rl2qc.images.sources.base import as_source
from rl2qc.model.density.features import FeatureDensity
from rl2qc.model.density.whitening import standard_normal_log_prob
from rl2qc.model.network.backbone import POOLED, ResNet18Features, round_to_half, to_tensor
from rl2qc.model.network.statistics import StatisticsExtractor
from rl2qc.model.parts import History

__all__ = [
    "FLOW_STEPS",
    "JOINT_STEPS",
    "Steps",
    "Watch",
    "effective_rank",
    "fit_density",
    "fit_flow",
    "fit_joint",
    "fit_jointly",
]

Report: TypeAlias = Callable[[str], None]
"""Called with a line after every epoch."""

# Joint training stops below these shares of the values before its first step.
MIN_STD_SHARE = 0.2
MIN_RANK_SHARE = 0.3


@dataclass(frozen=True)
class Steps:
    """How a loss is brought down.

    Attributes
    ----------
    epochs
        The most.
    patience
        Epochs without a lower held-out loss after which it stops.
    batch_size, learning_rate, weight_decay
        Of the optimiser.
    noise
        Standard deviation of the Gaussian noise on every batch, in whitened units.
    """

    epochs: int
    patience: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.0
    noise: float = 0.2


FLOW_STEPS = Steps(300, patience=30, batch_size=128, learning_rate=1e-3, weight_decay=1e-3)
JOINT_STEPS = Steps(5, patience=2, batch_size=32, learning_rate=1e-5)


class _EarlyStopping:
    """Keeps the weights of the lowest held-out loss; true once ``patience`` epochs beat none."""

    def __init__(self, modules: Iterable[nn.Module], patience: int) -> None:
        self.modules = list(modules)
        self.patience = patience
        self.best = math.inf
        self.bad_epochs = 0
        self.states = [copy.deepcopy(m.state_dict()) for m in self.modules]

    def update(self, loss: float) -> bool:
        if loss < self.best:
            self.best, self.bad_epochs = loss, 0
            self.states = [copy.deepcopy(m.state_dict()) for m in self.modules]
        else:
            self.bad_epochs += 1
        return self.bad_epochs >= self.patience

    def restore(self) -> None:
        for module, state in zip(self.modules, self.states, strict=True):
            module.load_state_dict(state)


def fit_density(
    density: FeatureDensity,
    features: Tensor,
    held_out: Tensor,
    steps: Steps = FLOW_STEPS,
    *,
    seed: int = 0,
    report: Report | None = None,
) -> History:
    """Whiten by ``features`` and maximise the flow's log-likelihood on them.

    Gaussian noise is added to every batch; gradients are clipped at norm 1; training stops when
    the held-out loss has not fallen for ``steps.patience`` epochs, and the best weights are kept.

    Parameters
    ----------
    density
        Changed in place.
    features, held_out : (n, d), (m, d) float32
        Of training and of held-out clean patches.
    steps
    seed
        Of batches and noise.
    report
        Called with a line after every epoch.
    """
    generator = torch.Generator().manual_seed(seed)
    density.whitening.fit(features)
    leading, constant = _fixed_part(density, features)
    held_leading, held_constant = _fixed_part(density, held_out)
    flow = density.flow
    optimizer = torch.optim.AdamW(
        flow.parameters(), lr=steps.learning_rate, weight_decay=steps.weight_decay
    )
    stopping = _EarlyStopping([flow], steps.patience)
    history = History()
    with _one_thread():
        for _ in range(steps.epochs):
            flow.train()
            for rows in _shuffled(len(leading), steps.batch_size, generator):
                batch = leading[rows]
                batch = batch + steps.noise * torch.randn(batch.shape, generator=generator)
                loss = -flow.log_prob(batch).mean()
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(flow.parameters(), 1.0)
                optimizer.step()
            flow.eval()
            with torch.no_grad():
                history.add(
                    (flow.log_prob(leading).mean() + constant) / density.dim,
                    (flow.log_prob(held_leading).mean() + held_constant) / density.dim,
                )
            if report:
                report(f"held-out NLL {history.held_out[-1]:.3f} nats/dim")
            if stopping.update(history.held_out[-1]):
                break
    stopping.restore()
    density.eval()
    return history


def _fixed_part(density: FeatureDensity, features: Tensor) -> tuple[Tensor, Tensor]:
    """The flow's input and the mean of all of log p that the flow has no part in."""
    with torch.no_grad():
        leading, rest = density.split(features)
        return leading, standard_normal_log_prob(rest).mean() + density.whitening.log_abs_det


def _shuffled(n: int, batch_size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Rows 0 to n - 1 in random order, in batches."""
    return torch.split(torch.randperm(n, generator=generator), batch_size)


@contextmanager
def _one_thread() -> Iterator[None]:
    # The flow's matrices are so small that handing them out costs more than it saves.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def effective_rank(features: Tensor) -> float:
    """exp(entropy) of the normalised eigenvalues of the covariance of features (n, d).

    Roy and Vetterli, "The effective rank", EUSIPCO 2007.

    Examples
    --------
    >>> x = torch.eye(4).repeat(10, 1)
    >>> round(effective_rank(x), 2)
    3.0
    """
    values = torch.linalg.eigvalsh(torch.cov(features.double().T)).clamp_min(0)
    share = values / values.sum().clamp_min(1e-300)
    share = share[share > 0]
    return float(torch.exp(-(share * share.log()).sum())) if len(share) else 0.0


def _record(history: History, density: FeatureDensity, features: Tensor, held_out: Tensor) -> None:
    with torch.no_grad():
        history.add(
            density.log_prob(features).mean() / density.dim,
            density.log_prob(held_out).mean() / density.dim,
        )


@dataclass(frozen=True)
class Watch:
    """The spread of features, against which joint training is watched."""

    std: float
    rank: float

    @classmethod
    def of(cls, features: Tensor) -> Watch:
        return cls(float(features.std(0).mean()), effective_rank(features))

    def check(self, now: Watch, epoch: int) -> None:
        """Raise WorkError when ``now`` has collapsed against this first value."""
        if now.std < MIN_STD_SHARE * self.std or now.rank < MIN_RANK_SHARE * self.rank:
            raise WorkError(
                f"features collapsed in epoch {epoch} of joint training (standard deviation "
                f"{self.std:.3g} -> {now.std:.3g}, effective rank {self.rank:.1f} -> "
                f"{now.rank:.1f}): use --mode frozen, or lower --learning-rate"
            )


def fit_joint(
    backbone: ResNet18Features,
    density: FeatureDensity,
    images: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    features_of: Callable[[NDArray[np.uint8]], Tensor],
    steps: Steps = JOINT_STEPS,
    *,
    seed: int = 0,
    report: Report | None = None,
) -> History:
    """Maximise the log-likelihood through the backbone as well, as the RL2 paper does.

    Starts from a fitted ``density``. Constant features would be the optimum, so the whitening
    stays as it is, batch-norm statistics stay fixed, and training stops with an error once
    features collapse (:class:`Watch`).

    Parameters
    ----------
    backbone, density
        Changed in place.
    images : (n, s, s, 3) and (m, s, s, 3) uint8
        Patches to train on, and to hold out.
    features_of
        Features (n, 512) of such patches by the backbone as it then is.
    steps
    seed
        Of batches and noise.
    report
        Called with a line after every epoch.

    Raises
    ------
    WorkError
        Features collapsed.
    """
    patches, held_out = images
    generator = torch.Generator().manual_seed(seed)
    device = next(backbone.parameters()).device
    parameters = [*backbone.parameters(), *density.flow.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=steps.learning_rate)
    history = History()
    # The state before the first step takes part: joint training may fail to beat it.
    first = features_of(held_out)
    start = Watch.of(first)
    _record(history, density, features_of(patches), first)
    stopping = _EarlyStopping([backbone, density], steps.patience)
    stopping.update(history.held_out[0])
    for epoch in range(1, steps.epochs + 1):
        density.train()
        backbone.eval()  # batch-norm statistics stay
        for rows in _shuffled(len(patches), steps.batch_size, generator):
            features = backbone(to_tensor(patches[rows.numpy()]).to(device)).cpu()
            leading, rest = density.split(features)
            leading = leading + steps.noise * torch.randn(leading.shape, generator=generator)
            loss = -density.flow.log_prob(leading).mean() + 0.5 * rest.square().sum(1).mean()
            optimizer.zero_grad(set_to_none=True)
            (loss / density.dim).backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
        now = features_of(held_out)
        start.check(Watch.of(now), epoch)
        _record(history, density, features_of(patches), now)
        if report:
            report(f"held-out NLL {history.held_out[-1]:.3f} nats/dim")
        if stopping.update(history.held_out[-1]):
            break
    stopping.restore()
    density.eval()
    return history


def fit_flow(
    density: FeatureDensity,
    features: Tensor,
    held_out: Tensor,
    *,
    changes: Mapping[str, Any],
    seed: int,
    progress: bool | Progress,
) -> History:
    """:func:`fit_density` with other steps than the usual ones, and progress."""
    steps = replace(FLOW_STEPS, **changes)
    with _epochs(progress, "fitting the flow", steps.epochs) as report:
        return fit_density(density, features, held_out, steps, seed=seed, report=report)


def fit_jointly(
    extractor: StatisticsExtractor,
    density: FeatureDensity,
    images: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    *,
    changes: Mapping[str, Any],
    seed: int,
    progress: bool | Progress,
) -> History:
    """:func:`fit_joint` with the extractor's backbone, rounded to what is stored afterwards."""

    def features_of(patches: NDArray[np.uint8]) -> Tensor:
        extractor.refresh()  # the weights have changed
        source = as_source(patches, patches.shape[1])
        return torch.from_numpy(extractor.of_source(source)[:, POOLED].copy())

    steps = replace(JOINT_STEPS, **changes)
    with _epochs(progress, "training jointly", steps.epochs) as report:
        history = fit_joint(
            extractor.backbone, density, images, features_of, steps, seed=seed, report=report
        )
    round_to_half(extractor.backbone)
    extractor.refresh()
    return history


@contextmanager
def _epochs(progress: bool | Progress, what: str, most: int) -> Iterator[Report]:
    """What is to be called after every epoch; it may end before the last."""
    with track(progress, what, most) as step:

        def report(line: str) -> None:
            step(1, f"{what}, {line}")

        yield report
