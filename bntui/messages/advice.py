"""What a person can do about an alert: with a key while the run goes on, or with an option of the next one."""

from __future__ import annotations

from dataclasses import dataclass

from bntui.config.interventions import INTERVENTIONS


@dataclass(frozen=True, slots=True)
class Advice:
    """What may help; none of it is certain to."""

    action: str
    """The intervention that does it; empty if there is none."""
    live: str
    """What it is good for, after `press KEY to`; without an intervention the whole advice."""
    later: str
    """What to try in another run."""


ADVICE = {
    "diverged": Advice("learning_rate", "set a smaller learning rate, then restart the arm", "try a smaller --lr"),
    "learning_rate": Advice("learning_rate", "set it lower again", "raise it less"),
    "vanishing": Advice("", "compare with an arm that has a normalization", "try --init kaiming or fewer layers"),
    "exploding": Advice("learning_rate", "set a smaller learning rate", "try --init kaiming or a smaller --lr"),
    "inactive": Advice("learning_rate", "set a smaller learning rate", "try --activation leaky-relu"),
    "small_batch": Advice("batch_size", "take larger batches", "try a larger --batch-size"),
    "eval_gap": Advice("precise_bn", "estimate the running statistics anew", "try --bn-eval precise"),
}
"""By the kind of the alert."""


def advice(kind: str, *, live: bool) -> str:
    """Return what can be done about an alert, in a few words that begin small; empty where nothing is known.

    Parameters
    ----------
    kind
        Of the alert.
    live
        Whether somebody has the keys of the run.
    """
    found = ADVICE.get(kind)
    if found is None or not live:
        return "" if found is None else found.later
    return f"press {INTERVENTIONS[found.action].key} to {found.live}" if found.action else found.live
