"""What a feedback request may hold."""

# 10,000 entries take about 1.5 MB; Lambda takes 6 MB
MAX_BODY = 4 * 1024 * 1024
MAX_ENTRIES = 10_000
# As predict makes it: date, request id, row
PREDICTION_ID = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}-[0-9a-f]{32}[a-z]?-[0-9]{1,5}$"
