"""What the trainer of Ray Train refuses, as JSON. Options: folder."""

import json
import sys

from pyarrow.fs import LocalFileSystem
from ray.train import RunConfig, ScalingConfig

import sync_replicas as sr

folder = sys.argv[1]


def refusal(scaling, run):
    try:
        sr.ray.SyncReplicasTrainer(
            lambda: None,
            optimizer=sr.Sgd(0.1),
            scaling_config=ScalingConfig(num_workers=scaling),
            run_config=RunConfig(**run),
        )
    except sr.ArgumentError as error:
        return str(error)


told = {
    "elastic": refusal((1, 4), {"storage_path": folder}),
    "a bucket": refusal(2, {"storage_path": "s3://bucket/runs"}),
    "a file system": refusal(2, {"storage_path": folder, "storage_filesystem": LocalFileSystem()}),
}
print(json.dumps(told))
