"""The training loop of both networks: it counts steps, and resumes at any step to the same bits (CPU, same threads)."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.engine.checkpoint import save_checkpoint
from pipelines.engine.distributed import Processes
from pipelines.engine.loop_settings import LoopSettings, ParameterGroup, new_optimizer
from pipelines.engine.precision import autocast
from pipelines.engine.resume import DATA, read_state, require_same_data
from pipelines.engine.run_dir import RunDir
from pipelines.engine.schedule import lr_factor
from pipelines.engine.signals import StopRequest
from pipelines.errors import DivergedError, MachineError, Stopped
from pipelines.events import Events, Progress

MakeBatch = Callable[[int], Any]
ComputeLosses = Callable[[nn.Module, Any], dict[str, Tensor]]
Evaluate = Callable[[nn.Module], dict[str, float]]
PicturesOf = Callable[[int], Sequence[str]]
_MOST_NAMES = 12  # pictures that a message names; the log and status.json name all


def train_loop(
    model: nn.Module,
    groups: Sequence[ParameterGroup],
    make_batch: MakeBatch,
    compute_losses: ComputeLosses,
    evaluate: Evaluate | None,
    settings: LoopSettings,
    run_dir: RunDir,
    processes: Processes,
    identity: dict[str, Any],
    events: Events,
    pictures_of: PicturesOf = lambda step: [],
) -> dict[str, Any]:
    """Train, from the run's last checkpoint if it has one.

    Args:
        model: Network on the device of `processes`.
        groups: Parameters that learn, and how fast.
        make_batch: Pure function step -> batch, called in loader threads.
        compute_losses: Function (model, batch) -> scalars, of which "total" is minimised.
        evaluate: Function model -> figures. None: the last weights are the best, as where no figure could be judged.
        settings: See `LoopSettings`.
        run_dir: An open run.
        processes: This process among those of the training.
        identity: What `load_*` needs to rebuild the network. It goes into every checkpoint.
        events: Receiver of progress and log lines.
        pictures_of: Pure function step -> ids of the pictures that all processes see in the step.

    Returns:
        {run, steps, seconds, images_per_second, best {metric, value, step}, losses}.

    Raises:
        DivergedError: A loss or gradient is not finite. The weights on disk are those of an earlier step. The message,
            the log and status.json name the pictures of the step.
        Stopped: A signal came. The state is saved.
        S4Error: A picture or the machine fails. The last checkpoint stays, and status.json names the reason.
    """
    training = _Training(model, groups, compute_losses, evaluate, settings, run_dir, processes, identity, events)
    training.pictures_of = pictures_of
    training.restore()
    try:
        return _train(training, make_batch)
    except (DivergedError, Stopped):  # they have told it
        raise
    except Exception as error:
        training.fail(str(error))
        raise


def _train(training: "_Training", make_batch: MakeBatch) -> dict[str, Any]:
    settings, run_dir, processes = training.settings, training.run_dir, training.processes
    training.tell("running")
    if settings.checkpoint_at_start and training.step == 0:
        processes.barrier()  # all processes have looked for a checkpoint
        training.save()
    with (
        StopRequest() as stop,
        _batches(make_batch, training.step, settings) as batches,
        training.events.progress(settings.steps, "train", done=training.step) as progress,
    ):
        for batch in batches:
            training.advance(batch, progress)
            if processes.any(stop.asked) and training.step < settings.steps:
                training.save()
                training.tell("stopped", "signal")
                raise Stopped(
                    f"{run_dir.path}: stopped by a signal at step {training.step} of {settings.steps}, state saved; "
                    "the same command with --resume goes on",
                    "stopped",
                )
    training.tell("done")
    return training.summary()


# What a checkpoint holds beside the weights. Time is not among it, as it differs from one training to the next.
_COUNTED = ("step", "best", "window", "losses", "window_steps")


class _Training:
    """The state of a training and what one step does to it."""

    def __init__(
        self,
        model: nn.Module,
        groups: Sequence[ParameterGroup],
        compute_losses: ComputeLosses,
        evaluate: Evaluate | None,
        settings: LoopSettings,
        run_dir: RunDir,
        processes: Processes,
        identity: dict[str, Any],
        events: Events,
    ) -> None:
        self.model, self.wrapped = model, processes.wrap(model)
        self.compute_losses, self.evaluate = compute_losses, evaluate
        self.settings, self.run_dir, self.processes = settings, run_dir, processes
        self.identity, self.events = identity, events
        self.parameters = [p for group in groups for p in group.parameters]
        self.scales = [group.lr_scale for group in groups]
        self.optimizer = new_optimizer(groups, settings)
        self.average = {n: p.detach().clone() for n, p in model.named_parameters()} if settings.ema else None
        self.checkpoint_every = settings.checkpoint_every or min(200, max(1, settings.steps // 10))
        self.step, self.untimed, self.seconds = 0, 0, 0.0
        self.best: dict[str, Any] = {"metric": settings.metric, "value": None, "step": 0}
        self.window: dict[str, float] = {}
        self.losses: dict[str, float] = {}
        self.window_steps = 0
        self.pictures_of: PicturesOf = lambda step: []

    def restore(self) -> None:
        """Go on from the last checkpoint, if there is one."""
        if not self.run_dir.last.exists():
            self.run_dir.forget_after(0)
            return
        state = read_state(self.run_dir.last, self.model, self.optimizer, self.average is not None)
        require_same_data(self.run_dir.last, state.get(DATA), self.identity.get(DATA))
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            for name, value in state["average"].items():
                self.average[name].copy_(value)
        for name in _COUNTED:
            setattr(self, name, state[name])
        self.seconds = self.run_dir.seconds_until(self.step)
        self.untimed = 0 if self.seconds else self.step
        self.run_dir.forget_after(self.step)
        before, now = state.get("processes", self.processes.world), self.processes.world
        if before != now:
            self.events.info(
                f"{self.run_dir.path}: begun with {before} process{'' if before == 1 else 'es'}, goes on with {now}; "
                "from here on the weights are not those of an unbroken run to the bit"
            )
        if self.step >= self.settings.steps:
            self.events.info(f"{self.run_dir.path}: all {self.step} steps were done before")
        else:
            self.events.info(f"resumed at step {self.step} of {self.settings.steps}")

    def advance(self, batch: Any, progress: Progress) -> None:
        """Do one optimiser step, and what is due after it."""
        started, settings = time.monotonic(), self.settings
        losses = self._optimise(batch)
        self.step += 1
        for name, value in losses.items():
            self.window[name] = self.window.get(name, 0.0) + value
        self.window_steps += 1
        last = self.step == settings.steps
        if self.step % settings.log_every == 0 or last:
            self._log()
        evaluated = last or (
            self.step % settings.evaluate_every == 0 and self.step >= settings.evaluate_from * settings.steps
        )
        if evaluated:
            self._evaluate()
        self.seconds += time.monotonic() - started
        if evaluated or self.step % self.checkpoint_every == 0:
            self.save()
        progress.advance(1, loss=losses["total"], images_per_second=self._rate())

    def _optimise(self, batch: Any) -> dict[str, float]:
        settings = self.settings
        # Dropout and box jitter draw from this generator. A resumed run draws the same: the seed follows from the step.
        torch.manual_seed((settings.seed * 1_000_003 + self.step) * 64 + self.processes.rank)
        factor = lr_factor(settings.schedule, self.step, settings.steps, settings.warmup, settings.drops)
        for group, scale in zip(self.optimizer.param_groups, self.scales, strict=True):
            group["lr"] = settings.lr * factor * scale
        self.wrapped.train()
        with autocast(settings.precision, self.processes.device):
            losses = self.compute_losses(self.wrapped, batch)
        values = dict(zip(losses, torch.stack([v.detach().float() for v in losses.values()]).tolist(), strict=True))
        self._require_finite(values["total"], values)
        self.optimizer.zero_grad(set_to_none=True)
        losses["total"].backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.parameters, settings.clip_norm or float("inf"))
        self._require_finite(float(norm), values | {"gradient_norm": float(norm)})
        self.optimizer.step()
        if self.average is not None:
            self._update_average()
        return values

    @torch.no_grad()
    def _update_average(self) -> None:
        assert self.average is not None and self.settings.ema is not None
        # A short memory at first: the average would otherwise hold the initial weights for thousands of steps.
        decay = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        own = [p for p in self.model.parameters() if p.requires_grad]
        kept = [self.average[n] for n, p in self.model.named_parameters() if p.requires_grad]
        torch._foreach_lerp_(kept, [p.detach() for p in own], 1 - decay)

    def _require_finite(self, value: float, losses: dict[str, float]) -> None:
        finite = value == value and abs(value) != float("inf")
        if not self.processes.any(not finite):
            return
        text = ", ".join(f"{name} {number:g}" for name, number in losses.items())
        if finite:
            text += " in this process, not finite in another"
        pictures = list(self.pictures_of(self.step))
        self.tell("failed", f"not finite: {text}", pictures)
        self.events.record(f"not finite at step {self.step}: {text}; pictures of the step: {', '.join(pictures)}")
        raise DivergedError(
            f"{self.run_dir.path}: loss or gradient is not finite at step {self.step} ({text}), finite numbers "
            f"expected; the weights were not touched: lower --lr, or check the annotations{_named(pictures)}",
            "not-finite",
        )

    def _log(self) -> None:
        self.losses = {name: total / self.window_steps for name, total in self.window.items()}
        self.run_dir.record({"step": self.step, "lr": self.optimizer.param_groups[0]["lr"], **self.losses})
        self.window, self.window_steps = {}, 0

    def _evaluate(self) -> None:
        """Evaluate on rank 0 and keep the weights if they are the best so far."""
        if self.processes.writes:
            with self._averaged():
                figures = self.evaluate(self.model.eval()) if self.evaluate else {}
                value, best = _judged(figures.get(self.settings.metric)), _judged(self.best["value"])
                if figures:
                    self.run_dir.record({"step": self.step, **{f"val_{k}": v for k, v in figures.items()}})
                    shown = ", ".join(f"{k} {v:.4f}" for k, v in figures.items())
                    self.events.info(f"step {self.step}: {shown}")
                if best is None or (value is not None and value > best):
                    self.best |= {"value": value, "step": self.step}
                    content = {"step": self.step, "model": self.model.state_dict(), "metrics": figures}
                    save_checkpoint(self.run_dir.best, self.identity | content)
        self.processes.barrier()

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Give the model the averaged weights inside the context, and its own weights after it."""
        if self.average is None:
            yield
            return
        own = {n: p.detach().clone() for n, p in self.model.named_parameters()}
        _assign(self.model, self.average)
        try:
            yield
        finally:
            _assign(self.model, own)

    def save(self) -> None:
        """Write last.pt."""
        if not self.processes.writes:
            return
        state = {name: getattr(self, name) for name in (*_COUNTED, "average")}
        state |= {
            "processes": self.processes.world,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        save_checkpoint(self.run_dir.last, self.identity | state)
        self.tell("running")

    def tell(self, state: str, reason: str = "", pictures: Sequence[str] = ()) -> None:
        """Write the state of the run, see `RunDir.status`."""
        self.run_dir.status(state, self.step, reason, round(self.seconds, 3), pictures)

    def fail(self, reason: str) -> None:
        """Write that the training failed, as far as the machine still allows."""
        try:
            self.tell("failed", reason)
        except MachineError:
            pass  # an error here would hide the one that led here

    def _rate(self) -> float:
        seen = (self.step - self.untimed) * self.settings.batch_size * self.processes.world
        return seen / self.seconds if self.seconds else 0.0

    def summary(self) -> dict[str, Any]:
        """Return the result of the stage."""
        return {
            "run": str(self.run_dir.path),
            "steps": self.step,
            "seconds": round(self.seconds, 1),
            "images_per_second": round(self._rate(), 2),
            "best": self.best,
            "losses": self.losses,
        }


def _judged(value: float | None) -> float | None:
    """Return a score; None for nan, than which no later score would be better."""
    return None if value is None or math.isnan(value) else value


def _named(pictures: Sequence[str]) -> str:
    """Return ` of the pictures of the step: a, b and 3 more`; nothing where there is no picture."""
    if not pictures:
        return ""
    more = f" and {len(pictures) - _MOST_NAMES} more (see log.txt)" if len(pictures) > _MOST_NAMES else ""
    return f" of the pictures of this step: {', '.join(pictures[:_MOST_NAMES])}{more}"


@torch.no_grad()
def _assign(model: nn.Module, values: dict[str, Tensor]) -> None:
    for name, parameter in model.named_parameters():
        parameter.copy_(values[name])


@contextmanager
def _batches(make_batch: MakeBatch, start: int, settings: LoopSettings) -> Iterator[Iterator[Any]]:
    """Give the batches from step `start` on, prepared ahead in threads (decoding releases the interpreter lock)."""
    if settings.workers == 0:
        yield (make_batch(step) for step in range(start, settings.steps))
        return
    with ThreadPoolExecutor(settings.workers, thread_name_prefix="loader") as pool:

        def ahead() -> Iterator[Any]:
            waiting: list[Future[Any]] = []
            for step in range(start, settings.steps + settings.workers + 1):
                if step < settings.steps:
                    waiting.append(pool.submit(make_batch, step))
                if len(waiting) > settings.workers + 1 or (step >= settings.steps and waiting):
                    yield waiting.pop(0).result()
            yield from (future.result() for future in waiting)

        try:
            yield ahead()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
