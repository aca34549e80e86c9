"""Who may do what on the local cloud: requests read by botocore's models, decided by the policies that IAM holds."""
