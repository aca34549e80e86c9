"""Stack loop: from a dropped file to a deployed model."""

from __future__ import annotations

from aws_cdk import Stack
from constructs import Construct

from infra.constructs.dead_letters import DeadLetters
from infra.constructs.layer_set import LayerSet
from infra.constructs.network import Network
from infra.constructs.shared import Memory, Shared, publish
from infra.constructs.training_image import TrainingImage
from infra.environment import Environment
from infra.stages.approve import Approve
from infra.stages.deploy import Deploy
from infra.stages.evaluate import Evaluate
from infra.stages.feedback import Feedback
from infra.stages.ingest import Ingest
from infra.stages.monitor import Monitor
from infra.stages.register import Register
from infra.stages.retrain import Retrain
from infra.stages.score import Score
from infra.stages.train import Train
from infra.workflows.ingest import IngestWorkflow
from infra.workflows.lifecycle import LifecycleWorkflow
from infra.workflows.promotion import PromotionWorkflow
from infra.workflows.rollout import RolloutWorkflow
from infra.workflows.score import ScoreWorkflow
from perennial.catalog.load import Catalog


class LoopStack(Stack):
    """The stages that run in the background, and the workflows that call them."""

    def __init__(self, scope: Construct, *, environment: Environment, memory: Memory, catalog: Catalog) -> None:
        super().__init__(scope, environment.resource("loop"), analytics_reporting=False)
        layers = LayerSet(self, environment=environment)
        shared = Shared(stack=self, environment=environment, memory=memory, catalog=catalog, layers=layers)
        letters = DeadLetters(self, environment=environment, alerts=memory.alerts).shared
        image = TrainingImage(self, environment=environment)

        ingest = Ingest(self, shared)
        self.retrain = Retrain(self, shared, dead_letters=letters)
        train = Train(self, shared, network=Network(self, flow_logs_to=memory.access_logs), image=image)
        evaluate = Evaluate(self, shared, image=image)
        register = Register(self, shared)
        self.deploy = Deploy(self, shared)
        self.approve = Approve(self, shared)
        self.feedback = Feedback(self, shared, dead_letters=letters)
        score = Score(self, shared, image=image)
        monitor = Monitor(self, shared, image=image, dead_letters=letters)

        rollout = RolloutWorkflow(self, shared, stage=self.deploy, dead_letters=letters)
        workflows = {
            "ingest": IngestWorkflow(self, shared, stage=ingest, dead_letters=letters).machine,
            "lifecycle": LifecycleWorkflow(
                self,
                shared,
                governor=self.retrain.function,
                train=train,
                evaluator=evaluate.function,
                registrar=register.function,
                rollout=rollout.machine,
                approve=self.approve,
            ).machine,
            "rollout": rollout.machine,
            "promotion": PromotionWorkflow(
                self, shared, registrar=register.function, rollout=rollout.machine, approve=self.approve
            ).machine,
            "score": ScoreWorkflow(self, shared, stage=score, dead_letters=letters).machine,
        }
        for name, machine in workflows.items():
            publish(self, environment, f"{name}-workflow", machine.state_machine_arn)
        publish(self, environment, "monitor-function", monitor.function.function_name)
