"""What is watched of a model that serves: its inputs and scores, its quality, its worth; and when somebody is told."""

# What the monitor keeps of each day, and where its reports lie.
DAY_FILES = "monitoring/"
REPORTS = "reports/"
