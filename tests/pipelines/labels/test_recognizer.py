import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from pipelines.errors import ConfigError
from pipelines.labels.recognizer import Recognizer, kind_of

CPU = torch.device("cpu")
ABACUS, TABBY, SCHOOL_BUS, SEA_SNAKE = 398, 281, 779, 65
BALLPLAYER, GROOM, SCUBA_DIVER, JEAN, JERSEY, WINDSOR_TIE, QUILT, SLEEPING_BAG = 981, 982, 983, 608, 610, 906, 750, 797


def test_of_a_kind_with_an_animal_are_all_animals_and_with_a_thing_those_of_its_name():
    cat, bus = kind_of(("cat",)), kind_of(("bus",))
    assert cat is not None and bus is not None
    assert cat.sum() == 398 and cat[[TABBY, SEA_SNAKE]].all() and not cat[[ABACUS, SCHOOL_BUS]].any()
    assert bus[SCHOOL_BUS] and not bus[[TABBY, ABACUS]].any()
    both = kind_of(("cat", "bus"))
    assert both is not None and (both == (cat | bus)).all()


def test_of_a_kind_with_people_are_the_three_that_imagenet_knows_and_what_people_wear():
    person = kind_of(("person",))
    assert person is not None
    assert person[[BALLPLAYER, GROOM, SCUBA_DIVER, JEAN, JERSEY, WINDSOR_TIE]].all() and person.sum() == 63
    assert not person[[TABBY, ABACUS, QUILT, SLEEPING_BAG]].any()


@pytest.mark.parametrize("keywords", [("quokka",), ("cat", "quokka")])
def test_what_is_not_known_of_every_keyword_is_not_judged(keywords: tuple[str, ...]):
    assert kind_of(keywords) is None


class Red(nn.Module):
    """Tells tabby from abacus; the log-odds of tabby are 20 times the brightest red less grey."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(20.0))

    def forward(self, images: Tensor) -> Tensor:
        logits = torch.full((len(images), 1000), -100.0)
        logits[:, ABACUS] = 0
        logits[:, TABBY] = self.scale * (images[:, 0].amax(dim=(1, 2)) - 127 / 255)
        return logits


def recognizer(monkeypatch: pytest.MonkeyPatch) -> Recognizer:
    monkeypatch.setattr("pipelines.labels.recognizer.build_classifier", lambda trunk, state: Red().eval())
    return Recognizer("efficientnet_lite0", {}, CPU, "fp32")


def test_each_instance_is_seen_alone_on_grey(monkeypatch: pytest.MonkeyPatch):
    picture = np.zeros((20, 30, 3), np.uint8)
    picture[:, 15:, 0] = 255
    masks = np.zeros((2, 20, 30), bool)
    masks[0, 5:15, 2:12], masks[1, 5:15, 18:28] = True, True  # black, and red
    look = recognizer(monkeypatch)
    # The picture is red beside the black instance, but the cut-out is not. The brightest in it is the grey around.
    black, red = look(picture, masks, ["cat"])
    assert black == pytest.approx(0.5, abs=1e-3) and red == pytest.approx(1 / (1 + np.exp(-20 * 128 / 255)), abs=1e-3)
    for others in (["cat", "quokka"], ["bus"], ["cat", "person"]):  # only animals are many enough in ImageNet
        assert look(picture, masks, others).tolist() == [1, 1]
    assert look(picture, masks, ["cat", "person"]).tolist() == [1, 1]  # with people, no instance is turned down
    assert look(picture, masks[:0], ["cat"]).shape == (0,)


def test_windows_know_nothing_of_each_other(monkeypatch: pytest.MonkeyPatch):
    picture = np.zeros((96, 192, 3), np.uint8)
    picture[:, 100:, 0] = 255
    seen = recognizer(monkeypatch).windows(picture, ["cat", "quokka"])
    assert seen.shape == (2, 4, 8) and np.isnan(seen[1]).all()
    # Windows are 24 pixels wide and side by side. The fifth, from 96 on, is the first that reaches into the red at 100.
    # The brightest red of a window says 20 * (0 - 127 / 255) or 20 * 128 / 255. The -100 of all other classes add
    # nothing.
    assert (np.ptp(seen[0], axis=0) < 1e-4).all()
    assert seen[0, 0] == pytest.approx([-20 * 127 / 255] * 4 + [20 * 128 / 255] * 4, abs=0.05)


@pytest.mark.parametrize(("size", "grid"), [((1, 1), (4, 4)), ((30, 45), (4, 6)), ((4000, 5), (32, 4))])
def test_there_are_four_windows_along_the_shorter_side(
    size: tuple[int, int], grid: tuple[int, int], monkeypatch: pytest.MonkeyPatch
):
    look = recognizer(monkeypatch)
    assert look.windows(np.zeros((*size, 3), np.uint8), ["cat"]).shape == (1, *grid)
    assert np.isnan(look.windows(np.zeros((*size, 3), np.uint8), ["quokka"])).all()


def test_a_window_is_classified_like_a_picture_of_its_own():
    torch.manual_seed(0)
    plain = timm.create_model("resnet10t").eval()  # neither folded nor packed
    nn.init.normal_(plain.fc.weight)  # random features are much alike, so the last layer has to tell them apart
    look = Recognizer("timm/resnet10t", plain.state_dict(), CPU, "fp32")
    picture = np.random.default_rng(0).integers(0, 256, (4 * 96, 5 * 96, 3), np.uint8)  # so nothing is scaled
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
    window = torch.from_numpy(picture[2 * 96 : 3 * 96, 4 * 96 :].copy()).permute(2, 0, 1) / 255
    with torch.no_grad():
        logits = plain((window - mean)[None] / std)[0].double()
    cat = torch.from_numpy(kind_of(("cat",)))
    seen = look.windows(picture, ["cat"])
    assert seen.shape == (1, 4, 5) and np.ptp(seen) > 0.1
    assert seen[0, 2, 4] == pytest.approx(
        float(logits[cat].exp().sum().log() - logits[~cat].exp().sum().log()), abs=1e-4
    )


def test_without_weights_of_the_classifier_it_is_refused():
    with pytest.raises(ConfigError, match=r"--recognise imagenet: no weights.*\[recognise-unusable\]"):
        Recognizer("efficientnet_lite0", None, CPU, "fp32")
    trunk_alone = timm.create_model("tf_efficientnet_lite0", features_only=True).state_dict()
    with pytest.raises(ConfigError, match="recognise-unusable"):
        Recognizer("efficientnet_lite0", trunk_alone, CPU, "fp32")
