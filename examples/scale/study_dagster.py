"""The shards of a study as a Dagster job: an op for each shard, mapped dynamically, and one that merges them.

    pip install dagster
    dagster job execute -f study_dagster.py -j study -c study.yaml

where study.yaml names the plan, storage that all workers share, and the number of shards:

    resources:
      settings:
        config: {plan: /shared/plan.toml, out: /shared/study, shards: 8}

Which executor runs the ops, and on which machines, is Dagster's: the default takes processes of this machine, others Kubernetes, Celery or
Dask. A shard that was killed goes on where it was when its op is tried again, by its retry policy or from Dagster's page.
"""

import os
import subprocess

from dagster import (
    ConfigurableResource,
    Definitions,
    DynamicOut,
    DynamicOutput,
    Failure,
    OpExecutionContext,
    RetryPolicy,
    job,
    op,
)

# Flags, input, weights: another try would end in the same way.
FINAL = (2, 3, 4)


class Settings(ConfigurableResource):
    """What is run, and where."""

    plan: str
    out: str
    shards: int = 8
    lupe: str = "lupe"

    def folder(self, shard: int) -> str:
        """The folder of a shard, which is its own."""
        return os.path.join(self.out, f"shard-{shard}")


def run(context: OpExecutionContext, words: list[str]) -> None:
    """Runs a command to its end; what it says goes into the op's log. If the op is ended, so is the command."""
    context.log.info(" ".join(words))
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as child:
        try:
            for line in child.stdout:
                context.log.info(line.rstrip())
            code = child.wait()
        except BaseException:
            child.terminate()
            child.wait()
            raise
    if code != 0:
        raise Failure(f"{words[0]} ended with code {code}", allow_retries=code not in FINAL)


@op(out=DynamicOut(int))
def shards(settings: Settings):
    """The numbers of the shards, from 1."""
    for shard in range(1, settings.shards + 1):
        yield DynamicOutput(shard, mapping_key=f"shard_{shard}")


@op(retry_policy=RetryPolicy(max_retries=3, delay=30))
def run_shard(context: OpExecutionContext, settings: Settings, shard: int) -> str:
    """Runs a shard, and says where it lies."""
    folder = settings.folder(shard)
    share = f"{shard}/{settings.shards}"
    run(context, [settings.lupe, "experiment", "run", settings.plan, "-o", folder, "--shard", share])
    return folder


@op
def merge(context: OpExecutionContext, settings: Settings, folders: list[str]) -> str:
    """Merges the shards, once all of them are there."""
    out = os.path.join(settings.out, "all")
    run(context, [settings.lupe, "experiment", "merge", *folders, "-o", out])
    return out


@job(resource_defs={"settings": Settings.configure_at_launch()})
def study():
    """All shards, and their results as one."""
    merge(shards().map(run_shard).collect())


defs = Definitions(jobs=[study])
