"""AWS::SQS::* and AWS::SNS::*.

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_SQS.html and AWS_SNS.html
"""

from __future__ import annotations

from infra.local.resources.base import Handler, Made, Place, Properties, changed, document, gone_is_fine, tag_map

QUEUE_ATTRIBUTES = (
    "ContentBasedDeduplication",
    "DelaySeconds",
    "FifoQueue",
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "RedriveAllowPolicy",
    "RedrivePolicy",
    "SqsManagedSseEnabled",
    "VisibilityTimeout",
)
# what an attribute is again once the template no longer names it
QUEUE_DEFAULTS = {
    "DelaySeconds": "0",
    "MaximumMessageSize": "262144",
    "MessageRetentionPeriod": "345600",
    "ReceiveMessageWaitTimeSeconds": "0",
    "RedrivePolicy": "",
    "RedriveAllowPolicy": "",
    "VisibilityTimeout": "30",
}


class Queue(Handler):
    """A queue."""

    type = "AWS::SQS::Queue"
    properties = frozenset({"QueueName", "Tags", *QUEUE_ATTRIBUTES})
    replaces = frozenset({"QueueName", "FifoQueue"})
    named_by = "QueueName"

    def create(self, place: Place, props: Properties) -> Made:
        """Create the queue."""
        name = props.get("QueueName") or place.name(75) + (".fifo" if props.get("FifoQueue") else "")
        url = place.call(
            "sqs",
            "create_queue",
            QueueName=name,
            Attributes={key: _attribute(props[key]) for key in QUEUE_ATTRIBUTES if key in props},
            tags=tag_map(props.get("Tags")),
        )["QueueUrl"]
        return Made(url, {"Arn": place.arn("sqs", name), "QueueName": name, "QueueUrl": url})

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Set the attributes that changed; one that is gone takes its default."""
        altered = {
            key: _attribute(props[key]) if key in props else QUEUE_DEFAULTS[key]
            for key in QUEUE_ATTRIBUTES
            if changed(props, old, key)
        }
        if altered:
            place.call("sqs", "set_queue_attributes", QueueUrl=made.ref, Attributes=altered)
        place.retag("sqs", made.ref, props, old)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete the queue with its messages."""
        gone_is_fine(place, "sqs", "delete_queue", QueueUrl=made.ref)


def _attribute(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return (document(value) or "") if isinstance(value, dict) else str(value)


class QueuePolicy(Handler):
    """One policy for some queues."""

    type = "AWS::SQS::QueuePolicy"
    properties = frozenset({"Queues", "PolicyDocument"})

    def create(self, place: Place, props: Properties) -> Made:
        """Set the policy on each queue."""
        for url in props["Queues"]:
            policy = document(props["PolicyDocument"])
            place.call("sqs", "set_queue_attributes", QueueUrl=url, Attributes={"Policy": policy})
        return Made(place.name(128))

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Set it anew, and take it from queues that are no longer named."""
        gone = [url for url in old["Queues"] if url not in props["Queues"]]
        self.delete(place, made, {"Queues": gone})
        self.create(place, props)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Take the policy away."""
        for url in props["Queues"]:
            gone_is_fine(place, "sqs", "set_queue_attributes", QueueUrl=url, Attributes={"Policy": ""})


TOPIC_ATTRIBUTES = ("DisplayName", "KmsMasterKeyId", "FifoTopic", "ContentBasedDeduplication")


class Topic(Handler):
    """A topic."""

    type = "AWS::SNS::Topic"
    properties = frozenset({"TopicName", "Tags", *TOPIC_ATTRIBUTES})
    replaces = frozenset({"TopicName", "FifoTopic"})
    named_by = "TopicName"

    def create(self, place: Place, props: Properties) -> Made:
        """Create the topic."""
        name = props.get("TopicName") or place.name(250)
        attributes = {key: _attribute(props[key]) for key in TOPIC_ATTRIBUTES if key in props}
        arn = place.call("sns", "create_topic", Name=name, Attributes=attributes, Tags=props.get("Tags"))["TopicArn"]
        return Made(arn, {"TopicArn": arn, "TopicName": name})

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Set the attributes that changed."""
        for key in TOPIC_ATTRIBUTES:
            if changed(props, old, key):
                value = _attribute(props.get(key, ""))
                place.call("sns", "set_topic_attributes", TopicArn=made.ref, AttributeName=key, AttributeValue=value)
        place.retag("sns", made.ref, props, old)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete it."""
        gone_is_fine(place, "sns", "delete_topic", TopicArn=made.ref)


class TopicPolicy(Handler):
    """One policy for some topics."""

    type = "AWS::SNS::TopicPolicy"
    properties = frozenset({"Topics", "PolicyDocument"})

    def create(self, place: Place, props: Properties) -> Made:
        """Set the policy on each topic."""
        for arn in props["Topics"]:
            policy = document(props["PolicyDocument"])
            place.call("sns", "set_topic_attributes", TopicArn=arn, AttributeName="Policy", AttributeValue=policy)
        return Made(place.name(128))

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Set it anew."""
        self.create(place, props)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """The policy goes with its topics."""


SUBSCRIPTION_ATTRIBUTES = ("RawMessageDelivery", "FilterPolicy", "FilterPolicyScope", "RedrivePolicy")


class Subscription(Handler):
    """A subscription of a topic."""

    type = "AWS::SNS::Subscription"
    properties = frozenset({"TopicArn", "Protocol", "Endpoint", *SUBSCRIPTION_ATTRIBUTES})
    replaces = frozenset({"TopicArn", "Protocol", "Endpoint"})

    def create(self, place: Place, props: Properties) -> Made:
        """Subscribe; an e-mail address stays unconfirmed."""
        arn = place.call(
            "sns",
            "subscribe",
            TopicArn=props["TopicArn"],
            Protocol=props["Protocol"],
            Endpoint=props.get("Endpoint"),
            Attributes={key: _attribute(props[key]) for key in SUBSCRIPTION_ATTRIBUTES if key in props},
            ReturnSubscriptionArn=True,
        )["SubscriptionArn"]
        return Made(arn, {"Arn": arn})

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Set the attributes that changed."""
        for key in SUBSCRIPTION_ATTRIBUTES:
            if changed(props, old, key):
                place.call(
                    "sns",
                    "set_subscription_attributes",
                    SubscriptionArn=made.ref,
                    AttributeName=key,
                    AttributeValue=_attribute(props.get(key, "")),
                )
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Unsubscribe."""
        gone_is_fine(place, "sns", "unsubscribe", SubscriptionArn=made.ref)
