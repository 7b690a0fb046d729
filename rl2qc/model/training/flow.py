"""Fitting: the flow on fixed features, or backbone and flow together."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rl2qc.core.progress import progress_bar
from rl2qc.errors import WorkError
from rl2qc.images.sources.base import as_source
from rl2qc.model.density.features import FeatureDensity
from rl2qc.model.density.whitening import standard_normal_log_prob
from rl2qc.model.network.backbone import POOLED, ResNet18Features, round_to_half, to_tensor
from rl2qc.model.network.statistics import Rows, Statistics, StatisticsExtractor
from rl2qc.model.parts import History

__all__ = ["Watch", "effective_rank", "fit_density", "fit_joint"]

# Joint training stops below these shares of the values before its first step.
MIN_STD_SHARE = 0.2
MIN_RANK_SHARE = 0.3


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
    *,
    epochs: int = 300,
    patience: int = 30,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    weight_decay: float = 1e-3,
    noise: float = 0.2,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> History:
    """Whiten by ``features`` and maximise the flow's log-likelihood on them.

    Gaussian noise of standard deviation ``noise`` (in whitened units) is added to every batch;
    gradients are clipped at norm 1; training stops when the held-out loss has not fallen for
    ``patience`` epochs, and the best weights are kept.

    Parameters
    ----------
    density
        Changed in place.
    features, held_out : (n, d), (m, d) float32
        Of training and of held-out clean patches.
    progress
        Called with a line after every epoch.
    """
    generator = torch.Generator().manual_seed(seed)
    density.whitening.fit(features)
    leading, constant = _fixed_part(density, features)
    held_leading, held_constant = _fixed_part(density, held_out)
    flow = density.flow
    optimizer = torch.optim.AdamW(flow.parameters(), lr=learning_rate, weight_decay=weight_decay)
    stopping = _EarlyStopping([flow], patience)
    history = History()
    with _one_thread():
        for _ in range(epochs):
            flow.train()
            for rows in _shuffled(len(leading), batch_size, generator):
                batch = leading[rows]
                batch = batch + noise * torch.randn(batch.shape, generator=generator)
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
            if progress:
                progress(f"held-out NLL {history.held_out[-1]:.3f} nats/dim")
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
    patches: np.ndarray,
    held_out: np.ndarray,
    features_of: Callable[[np.ndarray], Tensor],
    *,
    epochs: int = 5,
    patience: int = 2,
    batch_size: int = 32,
    learning_rate: float = 1e-5,
    noise: float = 0.2,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> History:
    """Maximise the log-likelihood through the backbone as well, as the RL2 paper does.

    Starts from a fitted ``density``. Constant features would be the optimum, so the whitening
    stays as it is, batch-norm statistics stay fixed, and training stops with an error once
    features collapse (:class:`Watch`).

    Parameters
    ----------
    backbone, density
        Changed in place.
    patches, held_out : (n, s, s, 3) and (m, s, s, 3) uint8
    features_of
        Features (n, 512) of such patches by the backbone as it then is.

    Raises
    ------
    WorkError
        Features collapsed.
    """
    generator = torch.Generator().manual_seed(seed)
    device = next(backbone.parameters()).device
    parameters = [*backbone.parameters(), *density.flow.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=learning_rate)
    history = History()
    # The state before the first step takes part: joint training may fail to beat it.
    first = features_of(held_out)
    start = Watch.of(first)
    _record(history, density, features_of(patches), first)
    stopping = _EarlyStopping([backbone, density], patience)
    stopping.update(history.held_out[0])
    for epoch in range(1, epochs + 1):
        density.train()
        backbone.eval()  # batch-norm statistics stay
        for rows in _shuffled(len(patches), batch_size, generator):
            features = backbone(to_tensor(patches[rows.numpy()]).to(device)).cpu()
            leading, rest = density.split(features)
            leading = leading + noise * torch.randn(leading.shape, generator=generator)
            loss = -density.flow.log_prob(leading).mean() + 0.5 * rest.square().sum(1).mean()
            optimizer.zero_grad(set_to_none=True)
            (loss / density.dim).backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
        now = features_of(held_out)
        start.check(Watch.of(now), epoch)
        _record(history, density, features_of(patches), now)
        if progress:
            progress(f"held-out NLL {history.held_out[-1]:.3f} nats/dim")
        if stopping.update(history.held_out[-1]):
            break
    stopping.restore()
    density.eval()
    return history


def _fit_flow(
    density: FeatureDensity,
    statistics: Statistics,
    train: Rows,
    held: Rows,
    seed: int,
    progress: bool,
    options: dict[str, Any],
) -> History:
    features = torch.from_numpy(statistics[:, POOLED].copy())
    with progress_bar(progress, "fitting the flow") as bar:
        return fit_density(
            density,
            features[train],
            features[held],
            seed=seed,
            progress=_reporter(bar),
            **options,
        )


def _fit_jointly(
    extractor: StatisticsExtractor,
    density: FeatureDensity,
    images: NDArray[np.uint8],
    train: Rows,
    held: Rows,
    seed: int,
    progress: bool,
    options: dict[str, Any],
) -> History:
    def features_of(patches: NDArray[np.uint8]) -> torch.Tensor:
        extractor.refresh()  # the weights have changed
        source = as_source(patches, patches.shape[1])
        return torch.from_numpy(extractor.of_source(source)[:, POOLED].copy())

    with progress_bar(progress, "training jointly") as bar:
        history = fit_joint(
            extractor.backbone,
            density,
            images[train],
            images[held],
            features_of,
            seed=seed,
            progress=_reporter(bar),
            **options,
        )
    round_to_half(extractor.backbone)
    extractor.refresh()
    return history


def _reporter(bar: Any) -> Any:
    def report(line: str) -> None:
        bar.set_postfix_str(line, refresh=False)
        bar.update()

    return report
