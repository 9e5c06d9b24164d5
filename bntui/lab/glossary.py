"""What the readings that look into batch norm mean, each in one sentence, what to look for, and where that is from.

The sentences hold whatever a run shows: they say what to look for, not what will be seen.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a reading means."""

    sentence: str
    """What is measured."""
    look: str
    """What to look for, and what is known and what is not."""
    sources: tuple[str, ...]
    """Where that is from."""


IOFFE = "Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167"
SANTURKAR = "Santurkar et al. 2018, https://arxiv.org/abs/1805.11604"
WU = "Wu & Johnson 2021, https://arxiv.org/abs/2105.07576"
BJORCK = "Bjorck et al. 2018, https://arxiv.org/abs/1806.02375"

MEANINGS = {
    # The definition is 2.1 of Santurkar et al.; their section 2.2 finds that batch norm may even raise it.
    "internal-covariate-shift": Meaning(
        "How far the gradient of one layer moves when only the layers below it are updated.",
        "Look whether the arm that learns faster has less of it. Batch norm was proposed to reduce it (Ioffe & Szegedy "
        "2015); later work found that it need not (Santurkar et al. 2018). Whether it explains anything is debated.",
        (IOFFE, SANTURKAR),
    ),
    # Their section 3; Bjorck et al. see the cause in the larger learning rates that become possible: it is debated.
    "loss-landscape": Meaning(
        "The lowest and the highest loss of one batch at steps of ½, 1, 2 and 4 learning rates along its gradient; "
        "β is the largest change of the gradient per distance.",
        "Look whether the arm that learns faster has the narrower band and the smaller β. A smoother landscape goes "
        "along with batch norm's success (Santurkar et al. 2018); whether it is the cause is debated.",
        (SANTURKAR, BJORCK),
    ),
    "train-eval-gap": Meaning(
        "The loss of one training batch in eval mode, normalized by its own statistics, by the running ones, and by "
        "ones re-estimated from 2,000 training samples.",
        "Look whether the lines lie apart. Where running lies above batch, the network does worse in eval mode than in "
        "train mode; where re-estimated lies below running, the moving average lags behind (Wu & Johnson 2021).",
        (WU,),
    ),
}  # fmt: skip
"""By the name of the panel that shows the reading."""

RAW_GRADIENT = "These steps follow the raw gradient, as plain SGD does; {optimizer} takes another step."
"""Of the loss landscape, where another optimizer than SGD without momentum trains; with its name."""
UNDISTURBED = "in train mode, dropout and noise switched off"
"""How the batch goes through the network for the internal covariate shift and the loss landscape."""
