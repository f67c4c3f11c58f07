"""Rows of the whole S4Net: in its reference form and prepared, with more and fewer boxes, on other trunks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import cycle
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from pipelines.errors import MachineError
from pipelines.studies.bench_rows import Comparison, Row, Setup, without_gradients
from pipelines.studies.bench_rows.networks import Subject, plain, random_subject
from pipelines.studies.bench_rows.peers import MASK_RCNN, mask_rcnn_rows, peer_rows, yolo
from s4net import S4Net

LIMIT = "arithmetic limit"
"""Start of the names of rows that only multiply: `limit_share` of the other rows is their share of that rate."""

TABLE_3 = ("resnet101", "resnet50", "vgg16", "mobilenet_v1")
TRUNKS = (*TABLE_3, "efficientnet_lite0")
PROPOSALS = (5, 10, 20, 50, 100)
GPU_BATCHES = (1, 8, 32, 128)


def compare_inference(setup: Setup, subjects: Sequence[Subject]) -> Comparison:
    """S4Nets in their reference form and prepared, beside the peers."""
    yolos = yolo(setup)
    own = [row for subject in subjects for row in _subject_rows(setup, subject)]
    return Comparison(peer=MASK_RCNN, rows=peer_rows(setup) + yolos.rows + own, missing=yolos.missing)


def _subject_rows(setup: Setup, subject: Subject) -> Iterator[Row]:
    best, (few, label) = setup.precisions[-1], subject.few
    prepared = subject.make().prepare_for_inference()
    yield _row(setup, subject, "plain fp32 NCHW", plain(subject.make()), "fp32")
    for precision in setup.precisions:
        yield _row(setup, subject, f"prepared {precision}", prepared, precision)
    yield _row(setup, subject, f"prepared {best}", prepared, best, few, label)
    if setup.compiled:
        compiled = compile_dense(subject.make().prepare_for_inference())
        for precision in setup.precisions:
            yield _compiled_now(_row(setup, subject, f"compiled {precision}", compiled, precision))
        yield _compiled_now(_row(setup, subject, f"compiled {best}", compiled, best, few, label))


def compare_proposals(setup: Setup) -> Comparison:
    """The cost of more boxes; each number is compared with the reference form at the same number."""
    subject = random_subject(setup, setup.preset, setup.trunk)
    reference, prepared = plain(subject.make()), subject.make().prepare_for_inference()
    rows = []
    for count in PROPOSALS:
        settings, label = {"proposals": count}, f"{count} proposals"
        base = _row(setup, subject, "plain fp32 NCHW", reference, "fp32", settings, label)
        own = [_row(setup, subject, f"prepared {p}", prepared, p, settings, label) for p in setup.precisions]
        rows += [replace(row, against=base.name) for row in (base, *own)]
    return Comparison(peer=f"{subject.name}, plain fp32 NCHW, 20 proposals", rows=rows)


def compare_trunks(setup: Setup, batches: Sequence[int]) -> Comparison:
    """Prepared S4Nets on the trunks of Table 3 and the small one, Mask R-CNN, and the most that the device can do.

    Args:
        setup: What all rows share.
        batches: Pictures per call; Mask R-CNN takes the first number.
    """
    peer = mask_rcnn_rows(replace(setup, batch=batches[0]))[0]
    rows = [peer, *(_limit_row(setup, precision) for precision in setup.precisions)]
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
    return Comparison(peer=MASK_RCNN, rows=rows)


def compile_dense(net: S4Net) -> S4Net:
    """Has torch.compile take over what is computed once per picture; the number of boxes varies, so they stay."""
    for part in (net.trunk, net.fpn, net.head):
        part.compile(dynamic=False)
    return net


def _compiled_now(row: Row) -> Row:
    """The row, after the call that compiles its network.

    Raises:
        MachineError: It cannot be compiled here.
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
    """A row of one form of a network, with some of its settings changed."""
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
    """One call of the network, masks at picture size included; every call takes the next batch."""
    layout = torch.channels_last if net.mask_branch.windowed else torch.contiguous_format  # the plain form is NCHW
    own = replace(net.settings, **settings)
    following = cycle([batch.contiguous(memory_format=layout) for batch in batches])

    def run() -> object:
        net.settings = own  # rows share a network
        return net(next(following))

    return run


def _gflop(subject: Subject) -> float:
    """Billions of floating-point operations of a call, 2 for each multiply-and-add of convolutions and products."""
    net = subject.make()  # the counter does not know packed convolutions
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(subject.pictures)
    return float(counter.get_total_flops()) / 1e9


def _limit_row(setup: Setup, precision: str) -> Row:
    """The fastest thing that a network could do: one large convolution (processor) or product of matrices (GPU)."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    work: Callable[[], object]
    if setup.device.type == "cpu":
        conv = torch.nn.Conv2d(256, 256, 3, padding=1, dtype=dtype).to(memory_format=torch.channels_last)
        x = torch.rand(20, 256, 40, 40).to(dtype=dtype, memory_format=torch.channels_last)
        gflop = 2 * 9 * 256**2 * 20 * 40**2 / 1e9
        work, what = lambda: conv(x), "3x3 convolution, 256 channels"
    else:
        side = 8192
        matrix = torch.rand(side, side, dtype=dtype, device=setup.device)
        gflop = 2 * side**3 / 1e9
        work, what = lambda: matrix @ matrix, f"product of {side} x {side} matrices"
    # Not under autocast: the tensors have their type already.
    run = without_gradients(work, setup, "fp32")
    return Row(name=f"{LIMIT} {precision} ({what})", run=run, images=0, precision=precision, facts={"gflop": gflop})
