"""NannyML's estimate of a binary model's AUC without labels: March is the reference, each later month is a chunk."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from scripts.benchmarks.contenders.loop import serve


def main(scores: str, answers: str) -> None:
    """`scores` has month, score and label; the estimates go to `answers`."""
    # of the peer's environment
    import nannyml
    import pandas as pd

    frame = pd.read_csv(scores)
    frame["prediction"] = (frame.score >= 0.5).astype(int)
    frame["at"] = pd.to_datetime({"year": 2013, "month": frame.month, "day": 1})
    reference, later = frame[frame.month == 3], frame[frame.month > 3].drop(columns="late")

    def estimated() -> None:
        cbpe: Any = nannyml.CBPE(
            problem_type="classification_binary", y_true="late", y_pred="prediction", y_pred_proba="score",
            timestamp_column_name="at", chunk_period="M", metrics=["roc_auc"],
        )  # fmt: skip
        found = cbpe.fit(reference).estimate(later).filter(period="analysis").to_df()
        months = pd.to_datetime(found["chunk", "start_date"]).dt.month
        pairs = zip(months, found["roc_auc", "value"], strict=True)
        Path(answers).write_text("\n".join(f"{month},{float(auc)!r}" for month, auc in pairs))

    serve(lambda: {"months": estimated}, ("nannyml",))


if __name__ == "__main__":
    main(*sys.argv[1:])
