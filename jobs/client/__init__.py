"""The client SDK: sign in, upload, submit, accept, follow and download, from Python.

    with Client("https://gateway.example", key) as client, pack_scene(Path("shot.blend")) as scene:
        client.upload(scene.manifest, scene.sources)
        job = client.wait_quote(client.create_job(RenderSpec(), scene.manifest).id)
        client.accept(job, deadline_s=3600)
        for event in client.events(job.id):
            print(event.type, event.data)
        client.download_outputs(job.id, Path("out"))

AsyncClient has the same calls, awaited. `events`, `passed_tiles`, `frames` and `items` iterate over what happens as it
happens, `run_pipeline` over the steps of a pipeline.yaml. Needs httpx, eth-account and pydantic; neither Celery nor a
chain library. Errors are those of jobs.errors.
"""

from jobs.client.account import FramePicture
from jobs.client.async_client import AsyncClient
from jobs.client.client import Client
from jobs.client.errors import GatewayBadInput, GatewayRefused
from jobs.client.events import JobEvent
from jobs.client.key import address_of, read_key
from jobs.client.results import Items
from jobs.client.steps import StepResult
from jobs.client.transfers import Delivered
from jobs.client.webhooks import read_webhook

__all__ = [
    "AsyncClient", "Client", "Delivered", "FramePicture", "GatewayBadInput", "GatewayRefused", "Items", "JobEvent",
    "StepResult", "address_of", "read_key", "read_webhook",
]  # fmt: skip
