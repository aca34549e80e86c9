"""Names that are shared with stages that do without numpy."""

# Of a model version's answers, as columns beside its features (monitoring/scores.py).
SCORE, CONFIDENCE = "__score__", "__confidence__"
# In the directory of a model version: the profile of the rows it was made of (training/reference.py).
REFERENCE = "profile.json.gz"
