"""What is watched of a model that serves: its inputs and scores, its quality, its worth; and when somebody is told."""
