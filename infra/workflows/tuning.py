"""States before Train in which several tasks search parameters side by side, for the models that ask for it."""

from __future__ import annotations

from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.stages.train import Train
from infra.workflows.failures import catch
from infra.workflows.jobs import run_searches
from perennial.catalog.load import Catalog


def models_by_tasks(catalog: Catalog) -> dict[int, list[str]]:
    """The models whose parameters are searched by several tasks, by how many."""
    found: dict[int, list[str]] = {}
    for name, spec in sorted(catalog.models.items()):
        if spec.train.tune is not None and spec.train.tune.tasks > 1:
            found.setdefault(spec.train.tune.tasks, []).append(name)
    return found


def tuned_before(
    scope: Construct, catalog: Catalog, train: Train, trained: sfn.TaskStateBase, explain: sfn.IChainable
) -> sfn.IChainable:
    """State `trained`, with Tune before it for the models that want several tasks; no such states where none does.

    With the most tasks (40, of 23 events each at worst) an execution has 1,000 events more, still a quarter of AWS's
    limit. A search that fails fails the training: `explain` is told.
    """
    asked = models_by_tasks(catalog)
    if not asked:
        return trained
    searches = run_searches(scope, train, max(asked))
    catch(searches, explain)
    searches.next(trained)
    tuned = sfn.Choice(scope, "Tuned")
    for count, models in asked.items():
        wanted = [sfn.Condition.string_equals("$.model", name) for name in models]
        chunks = sfn.Result.from_array([str(number) for number in range(count)])
        listed = sfn.Pass(scope, f"Chunks{count}", result=chunks, result_path="$.chunks")
        tuned.when(sfn.Condition.or_(*wanted) if len(wanted) > 1 else wanted[0], listed.next(searches))
    return tuned.otherwise(trained)
