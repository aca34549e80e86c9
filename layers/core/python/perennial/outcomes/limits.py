"""What outcomes may hold."""

# 10,000 entries take about 1.5 MB; Lambda takes 6 MB
MAX_BODY = 4 * 1024 * 1024
MAX_ENTRIES = 10_000
# Either side of nought, in the model's unit: sums and squares of any number of them are finite
MAX_AMOUNT = 1e15
# A day of the calendar, from the year 1000 on: of months with 31, with 30 and with 28 days, and of leap years
_DAY_OF_YEAR = (
    r"(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8])"
)
_LEAP = r"[1-9][0-9](?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[13579][26])00"
_DAY = rf"(?:[1-9][0-9]{{3}}-(?:{_DAY_OF_YEAR})|(?:{_LEAP})-02-29)"
# As predict makes it: date, request id, row
PREDICTION_ID = rf"^{_DAY}-[0-9a-f]{{32}}[a-z]?-[0-9]{{1,5}}$"
