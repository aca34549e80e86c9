"""Comparing versions on what was really asked: replays of the prediction log, and experiments on live traffic."""
