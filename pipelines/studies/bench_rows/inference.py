"""Rows of the whole S4Net at inference: both its forms, more and fewer boxes, other trunks; and its peers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import cycle
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from pipelines.errors import MachineError
from pipelines.studies.bench_rows.comparison import Comparison, Row, Setup, without_gradients
from pipelines.studies.bench_rows.networks import Subject, random_subject, reference_form
from pipelines.studies.bench_rows.peers import MASK_RCNN, mask_rcnn_rows, peer_rows, yolo
from s4net import S4Net

LIMIT = "arithmetic limit"
"""Start of the name of a row that only multiplies; `limit_share` of another row is its share of that row's rate."""

TABLE_3 = ("resnet101", "resnet50", "vgg16", "mobilenet_v1")
TRUNKS = (*TABLE_3, "efficientnet_lite0")
PROPOSALS = (5, 10, 20, 50, 100)
GPU_BATCHES = (1, 8, 32, 128)


def compare_inference(setup: Setup, subjects: Sequence[Subject]) -> Comparison:
    """Compare S4Nets, in the reference form and prepared, with the peers."""
    yolos = yolo(setup)
    own = [row for subject in subjects for row in _subject_rows(setup, subject)]
    return Comparison(peer=MASK_RCNN, rows=peer_rows(setup) + yolos.rows + own, missing=yolos.missing)


def _subject_rows(setup: Setup, subject: Subject) -> Iterator[Row]:
    best, (few, label) = setup.precisions[-1], subject.few
    prepared = subject.make().prepare_for_inference()
    yield _row(setup, subject, "plain fp32 NCHW", reference_form(subject.make()), "fp32")
    for precision in setup.precisions:
        yield _row(setup, subject, f"prepared {precision}", prepared, precision)
    yield _row(setup, subject, f"prepared {best}", prepared, best, few, label)
    if setup.compiled:
        compiled = compile_dense(subject.make().prepare_for_inference())
        for precision in setup.precisions:
            yield _compiled_now(_row(setup, subject, f"compiled {precision}", compiled, precision))
        yield _compiled_now(_row(setup, subject, f"compiled {best}", compiled, best, few, label))


def compare_proposals(setup: Setup) -> Comparison:
    """Compare numbers of boxes, each with the reference form at the same number of boxes."""
    subject = random_subject(setup, setup.preset, setup.trunk)
    reference, prepared = reference_form(subject.make()), subject.make().prepare_for_inference()
    rows = []
    for count in PROPOSALS:
        settings, label = {"proposals": count}, f"{count} proposals"
        base = _row(setup, subject, "plain fp32 NCHW", reference, "fp32", settings, label)
        own = [
            _row(setup, subject, f"prepared {precision}", prepared, precision, settings, label)
            for precision in setup.precisions
        ]
        rows += [replace(row, against=base.name) for row in (base, *own)]
    return Comparison(peer=f"{subject.name}, plain fp32 NCHW, 20 proposals", rows=rows)


def compare_trunks(setup: Setup, batches: Sequence[int]) -> Comparison:
    """Compare prepared S4Nets on several trunks with Mask R-CNN, YOLO11-seg and the most that the device can do.

    The trunks are those of Table 3, and EfficientNet-Lite0.

    Args:
        setup: What all rows share.
        batches: Numbers of pictures per call. Ratios refer to Mask R-CNN with the first number.
    """
    peers, missing = _peers(setup, batches)
    rows = [*peers, *(_limit_row(setup, precision) for precision in setup.precisions)]
    for trunk in TRUNKS:
        net = random_subject(replace(setup, batch=max(batches)), setup.preset, trunk).make().prepare_for_inference()
        for batch in batches:
            own = replace(setup, batch=batch)
            subject = random_subject(own, setup.preset, trunk)
            suffix = f", batch {batch}" if batch > 1 else ""
            facts = {"gflop": _gflop(subject)}
            for precision in setup.precisions:
                row = _row(own, subject, f"prepared {precision}", net, precision)
                rows.append(replace(row, name=row.name + suffix, facts=facts))
    return Comparison(peer=MASK_RCNN, rows=rows, missing=missing)


def _peers(setup: Setup, batches: Sequence[int]) -> tuple[list[Row], Mapping[str, str]]:
    """Return Mask R-CNN and YOLO11-seg at every batch, the first one without it in the name, and what is missing."""
    rows, missing = [], {}
    for batch in batches:
        own = replace(setup, batch=batch)
        yolos, suffix = yolo(own), f", batch {batch}" if batch != batches[0] else ""
        rows += [replace(row, name=row.name + suffix) for row in (mask_rcnn_rows(own)[0], *yolos.rows)]
        missing = dict(yolos.missing)
    return rows, missing


def compile_dense(net: S4Net) -> S4Net:
    """Compile, in place, what is computed once per picture; the mask branch stays, as the number of boxes varies."""
    for part in (net.trunk, net.fpn, net.head):
        part.compile(dynamic=False)
    return net


def _compiled_now(row: Row) -> Row:
    """Call a row once, so that its network is compiled, and return the row.

    Raises:
        MachineError: The network cannot be compiled on this machine [compile-failed].
    """
    try:
        row.run()
    except RuntimeError as error:  # every failure of torch.compile is one
        reason = str(error).strip().partition("\n")[0]
        message = f"--compile: {reason}, a working C++ compiler expected; install one, or leave the flag out"
        raise MachineError(message, "compile-failed") from error
    return row


def _row(
    setup: Setup,
    subject: Subject,
    form: str,
    net: S4Net,
    precision: str,
    settings: dict[str, Any] | None = None,
    label: str = "",
) -> Row:
    """Return the row of one form of a network, with some of its settings changed."""
    batches = torch.split(subject.pictures, setup.batch)
    run = _on_pictures(net, batches, settings or {})
    return Row(
        name=f"{subject.name}, {form}, {label or f'{net.settings.proposals} proposals'}",
        run=without_gradients(run, setup, precision),
        images=setup.batch,
        precision=precision,
        facts=subject.facts,
    )


def _on_pictures(net: S4Net, batches: Sequence[Tensor], settings: dict[str, Any]) -> Callable[[], object]:
    """Return the function that runs the network on the next batch, up to masks at picture size."""
    layout = torch.channels_last if net.mask_branch.windowed else torch.contiguous_format  # the plain form is NCHW
    own = replace(net.settings, **settings)
    following = cycle([batch.contiguous(memory_format=layout) for batch in batches])

    def run() -> object:
        net.settings = own  # rows share a network
        return net(next(following))

    return run


def _gflop(subject: Subject) -> float:
    """Return the billions of floating-point operations of one call.

    Convolutions and matrix products count, with 2 operations for each multiply-and-add.
    """
    net = subject.make()  # the counter does not know packed convolutions
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(subject.pictures)
    return float(counter.get_total_flops()) / 1e9


def _limit_row(setup: Setup, precision: str) -> Row:
    """Return the row of the fastest work for the device: a large convolution (processor) or matrix product (GPU)."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    work: Callable[[], object]
    if setup.device.type == "cpu":
        conv = torch.nn.Conv2d(256, 256, 3, padding=1, dtype=dtype).to(memory_format=torch.channels_last)
        maps = torch.rand(20, 256, 40, 40).to(dtype=dtype, memory_format=torch.channels_last)
        gflop = 2 * 9 * 256**2 * 20 * 40**2 / 1e9
        work, what = lambda: conv(maps), "3x3 convolution, 256 channels"
    else:
        side = 8192
        matrix = torch.rand(side, side, dtype=dtype, device=setup.device)
        gflop = 2 * side**3 / 1e9
        work, what = lambda: matrix @ matrix, f"product of {side} x {side} matrices"
    # Not under autocast: the tensors have their type already.
    run = without_gradients(work, setup, "fp32")
    return Row(name=f"{LIMIT} {precision} ({what})", run=run, images=0, precision=precision, facts={"gflop": gflop})
