"""The second target of the template: AWS on a laptop, as one process and its children.

That process makes some forty SDK sessions, moto's among them, and each would read the SDK's table of endpoints anew: a
tenth of a second every time. Here they all read through one loader.
"""

from functools import cache

import botocore.session

botocore.session.create_loader = cache(botocore.session.create_loader)
