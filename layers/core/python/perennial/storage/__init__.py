"""Adapters to S3, DynamoDB, EventBridge and Lambda. ClientError is translated here and nowhere else."""
