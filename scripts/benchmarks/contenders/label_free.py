"""Perennial's estimate of a binary model's AUC without labels: March is the reference, each later month a part."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from perennial.monitoring.estimate import calibrate, expected
from scripts.benchmarks.contenders.loop import serve


def main(scores: str, answers: str) -> None:
    """`scores` has month, score and label; the estimates go to `answers`."""
    month, score, label = np.loadtxt(scores, delimiter=",", skiprows=1, unpack=True)
    both = np.stack([1 - score, score], axis=1)
    later = [int(one) for one in np.unique(month) if one > 3]
    parts = {one: both[month == one] for one in later}
    reference, truth = both[month == 3], label[month == 3].astype(np.int64)

    def estimated() -> None:
        calibrator = calibrate("binary", truth, reference)
        if calibrator is None:
            raise AssertionError("a binary task has a calibrator")
        found = [f"{one},{expected('binary', calibrator, part)['auc']!r}" for one, part in parts.items()]
        Path(answers).write_text("\n".join(found))

    serve(lambda: {"months": estimated}, ("numpy", "scipy"))


if __name__ == "__main__":
    main(*sys.argv[1:])
