"""From a registered version to one that serves: publish, try, shift, verify; or put everything back."""
