"""Each provider's SDK driven bare: the least code that asks about pictures, for comparison.

No retries, no limits, no error map, no check of the reply: what `benchmarks.adapters` holds the
adapters against.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

MIN_CONFIDENCE, MAX_LABELS = 0.0, 1000  # of the adapter aws

Ask = Callable[[Sequence[bytes]], Awaitable[object]]
Close = Callable[[], Awaitable[None]]


def _threaded(one: Callable[[bytes], object], concurrency: int) -> tuple[Ask, Close]:
    pool = ThreadPoolExecutor(concurrency)

    async def ask(images: Sequence[bytes]) -> object:
        return await asyncio.get_running_loop().run_in_executor(pool, one, images[0])

    async def close() -> None:
        pool.shutdown(wait=False)

    return ask, close


def aws(concurrency: int) -> tuple[Ask, Close]:
    """boto3, in threads."""
    import boto3
    from botocore.config import Config

    retries: Any = {"total_max_attempts": 1, "mode": "standard"}
    config = Config(max_pool_connections=concurrency, retries=retries)
    client = boto3.client("rekognition", config=config)
    asked: Any = {"MinConfidence": MIN_CONFIDENCE, "MaxLabels": MAX_LABELS}
    return _threaded(
        lambda image: client.detect_labels(Image={"Bytes": image}, **asked), concurrency
    )


def azure(concurrency: int) -> tuple[Ask, Close]:
    """azure-ai-vision-imageanalysis, its asynchronous client."""
    from azure.ai.vision.imageanalysis.aio import ImageAnalysisClient
    from azure.ai.vision.imageanalysis.models import VisualFeatures
    from azure.core.credentials import AzureKeyCredential

    client = ImageAnalysisClient(
        os.environ["VISION_ENDPOINT"], AzureKeyCredential(os.environ["VISION_KEY"])
    )

    async def ask(images: Sequence[bytes]) -> object:
        return await client.analyze(images[0], visual_features=[VisualFeatures.TAGS])

    return ask, client.close


def azure_v32(concurrency: int) -> tuple[Ask, Close]:
    """azure-cognitiveservices-vision-computervision, in threads."""
    import io

    from azure.cognitiveservices.vision.computervision import ComputerVisionClient
    from msrest.authentication import CognitiveServicesCredentials

    client = ComputerVisionClient(
        os.environ["VISION_ENDPOINT"], CognitiveServicesCredentials(os.environ["VISION_KEY"])
    )
    return _threaded(lambda image: client.tag_image_in_stream(io.BytesIO(image)), concurrency)


def google(concurrency: int) -> tuple[Ask, Close]:
    """google-cloud-vision, its asynchronous client over gRPC."""
    import grpc
    from google.cloud import vision

    kind = vision.ImageAnnotatorAsyncClient.get_transport_class("grpc_asyncio")
    channel = grpc.aio.insecure_channel(os.environ["SURETY_GOOGLE_ENDPOINT"])
    client = vision.ImageAnnotatorAsyncClient(transport=kind(channel=channel))
    feature = vision.Feature(type_=vision.Feature.Type.LABEL_DETECTION, max_results=10)
    key = [("x-goog-api-key", os.environ["GOOGLE_API_KEY"])]

    async def ask(images: Sequence[bytes]) -> object:
        requests = [
            vision.AnnotateImageRequest(image=vision.Image(content=image), features=[feature])
            for image in images
        ]
        return await client.batch_annotate_images(requests=requests, retry=None, metadata=key)

    return ask, client.transport.close


def clarifai(concurrency: int) -> tuple[Ask, Close]:
    """clarifai-grpc's message types on a plain channel."""
    import grpc
    from clarifai_grpc.grpc.api import resources_pb2, service_pb2

    address = os.environ["CLARIFAI_API_BASE"].split("://")[-1]
    channel = grpc.aio.insecure_channel(address)
    call = channel.unary_unary(
        "/clarifai.api.V2/PostModelOutputs",
        request_serializer=service_pb2.PostModelOutputsRequest.SerializeToString,
        response_deserializer=service_pb2.MultiOutputResponse.FromString,
    )
    owner = resources_pb2.UserAppIDSet(user_id="clarifai", app_id="main")
    key = (("authorization", f"Key {os.environ['CLARIFAI_PAT']}"),)

    async def ask(images: Sequence[bytes]) -> object:
        inputs = [
            resources_pb2.Input(data=resources_pb2.Data(image=resources_pb2.Image(base64=image)))
            for image in images
        ]
        request = service_pb2.PostModelOutputsRequest(
            user_app_id=owner, model_id="general-image-recognition", inputs=inputs
        )
        return await call(request, metadata=key)

    return ask, channel.close


def http(concurrency: int) -> tuple[Ask, Close]:
    """httpx, as several small clients, which is its fastest way."""
    import httpx

    clients = [
        httpx.AsyncClient(limits=httpx.Limits(max_connections=4), timeout=30)
        for _ in range(-(-concurrency // 4))
    ]
    headers = {
        "Authorization": f"Bearer {os.environ['HTTP_EMULATOR_TOKEN']}",
        "Content-Type": "image/png",
    }
    turn = 0

    async def ask(images: Sequence[bytes]) -> object:
        nonlocal turn
        turn += 1
        client = clients[turn % len(clients)]
        reply = await client.post(
            os.environ["EMULATOR_REST"] + "/v1/classify", content=images[0], headers=headers
        )
        return reply.raise_for_status().json()

    async def close() -> None:
        for client in clients:
            await client.aclose()

    return ask, close


CLIENTS: dict[str, Callable[[int], tuple[Ask, Close]]] = {
    "aws": aws,
    "azure": azure,
    "azure-v32": azure_v32,
    "clarifai": clarifai,
    "google": google,
    "http": http,
}
