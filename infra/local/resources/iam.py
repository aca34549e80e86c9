"""AWS::IAM::*. Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_IAM.html."""

from __future__ import annotations

from infra.local.resources.base import Handler, Made, Place, Properties, changed, document, gone_is_fine, pick


class Role(Handler):
    """A role with its trust policy, inline and attached policies."""

    type = "AWS::IAM::Role"
    properties = frozenset(
        {
            "RoleName",
            "Path",
            "AssumeRolePolicyDocument",
            "Description",
            "MaxSessionDuration",
            "ManagedPolicyArns",
            "Policies",
            "PermissionsBoundary",
            "Tags",
        }
    )
    replaces = frozenset({"RoleName", "Path"})
    named_by = "RoleName"

    def create(self, place: Place, props: Properties) -> Made:
        """Create the role, then attach and put its policies."""
        name = props.get("RoleName") or place.name(64)
        role = place.call(
            "iam",
            "create_role",
            RoleName=name,
            AssumeRolePolicyDocument=document(props["AssumeRolePolicyDocument"]),
            **pick(props, "Path", "Description", "MaxSessionDuration", "PermissionsBoundary", "Tags"),
        )["Role"]
        with self.finishing(place, Made(name, {"Arn": role["Arn"], "RoleId": role["RoleId"]}), {}) as made:
            _policies(place, name, props, {})
        return made

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Change what changed."""
        if changed(props, old, "PermissionsBoundary"):
            return super().update(place, made, props, old)
        if changed(props, old, "AssumeRolePolicyDocument"):
            trust = document(props["AssumeRolePolicyDocument"])
            place.call("iam", "update_assume_role_policy", RoleName=made.ref, PolicyDocument=trust)
        if changed(props, old, "Description", "MaxSessionDuration"):
            wanted = {"Description": "", "MaxSessionDuration": 3600} | pick(props, "Description", "MaxSessionDuration")
            place.call("iam", "update_role", RoleName=made.ref, **wanted)
        _policies(place, made.ref, props, old)
        place.retag("iam", made.ref, props, old)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Detach and delete its policies, then the role."""
        _policies(place, made.ref, {}, props)
        gone_is_fine(place, "iam", "delete_role", RoleName=made.ref)


def _policies(place: Place, role: str, props: Properties, old: Properties) -> None:
    wanted, had = props.get("ManagedPolicyArns", []), old.get("ManagedPolicyArns", [])
    for arn in had:
        if arn not in wanted:
            place.call("iam", "detach_role_policy", RoleName=role, PolicyArn=arn)
    for arn in wanted:
        if arn not in had:
            place.call("iam", "attach_role_policy", RoleName=role, PolicyArn=arn)
    inline = {item["PolicyName"]: document(item["PolicyDocument"]) for item in props.get("Policies", [])}
    for item in old.get("Policies", []):
        if item["PolicyName"] not in inline:
            gone_is_fine(place, "iam", "delete_role_policy", RoleName=role, PolicyName=item["PolicyName"])
    for name, text in inline.items():
        place.call("iam", "put_role_policy", RoleName=role, PolicyName=name, PolicyDocument=text)


class Policy(Handler):
    """An inline policy put on roles."""

    type = "AWS::IAM::Policy"
    properties = frozenset({"PolicyName", "PolicyDocument", "Roles"})

    def create(self, place: Place, props: Properties) -> Made:
        """Put the policy on each role."""
        for role in props.get("Roles", []):
            place.call(
                "iam",
                "put_role_policy",
                RoleName=role,
                PolicyName=props["PolicyName"],
                PolicyDocument=document(props["PolicyDocument"]),
            )
        return Made(place.name(64))

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Put it anew, and take it from roles that are no longer named."""
        renamed = changed(props, old, "PolicyName")
        gone = [role for role in old.get("Roles", []) if renamed or role not in props.get("Roles", [])]
        self.delete(place, made, old | {"Roles": gone})
        self.create(place, props)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Take it from each role."""
        for role in props.get("Roles", []):
            gone_is_fine(place, "iam", "delete_role_policy", RoleName=role, PolicyName=props["PolicyName"])


class ManagedPolicy(Handler):
    """A customer managed policy, attached to roles."""

    type = "AWS::IAM::ManagedPolicy"
    properties = frozenset({"ManagedPolicyName", "Path", "Description", "PolicyDocument", "Roles"})
    replaces = frozenset({"ManagedPolicyName", "Path", "Description"})
    named_by = "ManagedPolicyName"

    def create(self, place: Place, props: Properties) -> Made:
        """Create the policy and attach it."""
        arn = place.call(
            "iam",
            "create_policy",
            PolicyName=props.get("ManagedPolicyName") or place.name(128),
            PolicyDocument=document(props["PolicyDocument"]),
            **pick(props, "Path", "Description"),
        )["Policy"]["Arn"]
        with self.finishing(place, Made(arn, {"PolicyArn": arn}), props) as made:
            for role in props.get("Roles", []):
                place.call("iam", "attach_role_policy", RoleName=role, PolicyArn=arn)
        return made

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Make a new default version of the document; attach and detach."""
        if changed(props, old, "PolicyDocument"):
            text = document(props["PolicyDocument"])
            before = place.call("iam", "get_policy", PolicyArn=made.ref)["Policy"]["DefaultVersionId"]
            place.call("iam", "create_policy_version", PolicyArn=made.ref, PolicyDocument=text, SetAsDefault=True)
            place.call("iam", "delete_policy_version", PolicyArn=made.ref, VersionId=before)
        wanted, had = props.get("Roles", []), old.get("Roles", [])
        for role in had:
            if role not in wanted:
                gone_is_fine(place, "iam", "detach_role_policy", RoleName=role, PolicyArn=made.ref)
        for role in wanted:
            if role not in had:
                place.call("iam", "attach_role_policy", RoleName=role, PolicyArn=made.ref)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Detach and delete it."""
        for role in props.get("Roles", []):
            gone_is_fine(place, "iam", "detach_role_policy", RoleName=role, PolicyArn=made.ref)
        gone_is_fine(place, "iam", "delete_policy", PolicyArn=made.ref)
