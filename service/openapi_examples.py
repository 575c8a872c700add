"""One example for every route's answer and form, shown in OpenAPI; tests hold them to the real."""

from typing import Any

from service import problem_kinds as kinds

RUN_ID = "5f0c7f3a9e0b4c2d8a614e37"

PROGRESS: dict[str, Any] = {
    "n": 96,
    "counts": {"cat": 94, "dog": 2},
    "abstentions": 0,
    "label": "cat",
    "radius": 0.21875,
    "votes_per_second": 512.4,
    "expected_remaining": 33,
    "cost": 0.0,
    "calls": 7,
}

_IMAGE = {
    "sha256": "9d4c1f4c2f9b64f4ddcb0d3ed8b5b1b6cf1f8b4f5b3f1e0e7d5b6a9c8d7e6f50",
    "width": 32,
    "height": 32,
    "source": {
        "name": "fox.png",
        "sha256": "0b1a2c3d4e5f60718293a4b5c6d7e8f90123456789abcdef0123456789abcdef",
        "format": "PNG",
        "width": 64,
        "height": 48,
        "mode": "RGBA",
    },
    "steps": [
        "transparency flattened on white",
        "reduced 64×48 to 43×32 (Lanczos)",
        "centre crop 32×32",
    ],
}

_SUBJECT = {
    "image": {"sha256": _IMAGE["sha256"], "width": 32, "height": 32},
    "sigma": 0.25,
    "denoiser": {
        "name": "cifar",
        "weights_sha256": "6b0c8f1f6a5f8f3a0d6f2d1c4b3a291807f6e5d4c3b2a1908f7e6d5c4b3a2910",
    },
    "compute": "cpu/float32",
    "postprocess": {"encoding": "pixels"},
    "provider": {"name": "local", "options": {}, "model_version": "cifar-0f1e2d3c4b5a"},
    "rule": {"rule": "top1"},
    "label_map": {},
}

_ACCOUNTING = {
    "calls": 9,
    "images": 130,
    "retries": 0,
    "cost": 0.0,
    "currency": "USD",
    "votes_reused": 0,
    "seconds": 0.27,
}

CERTIFICATE: dict[str, Any] = {
    "schema": "surety.certificate/1",
    "id": "3b7c0f5f0c9a4a1e8d2b6c7a9e1f4d20",
    "created": "2026-11-23T09:00:00+00:00",
    "software": {"name": "surety", "version": "0.1.0"},
    "statement": "Within L2 distance 0.25 of this picture (pixel values scaled to [0, 1]) the "
    "smoothed classifier answers 'cat', with confidence 99.9 %.",
    "proof": {
        "guarantee": "probabilistic",
        "abstained": False,
        "label": "cat",
        "norm": "l2",
        "radius": 0.25,
        "radius_linf": 0.00451,
        "radius_l1": 0.25,
        "sigma": 0.25,
        "alpha": 0.001,
        "confidence": {
            "method": "mixture test martingale on a grid of radii, looked at after every vote",
            "named_label": "cat",
            "levels": {"named": 0.0009, "other": 0.0001},
            "grid": {"step": "1/200", "last": 1200},
            "margin": 1e-11,
            "milestone": None,
            "pointer": 200,
            "look": {"n": 78, "s": 77, "by": "mixture"},
        },
        "votes": {
            "n": 78,
            "counts": {"cat": 77, "dog": 1},
            "abstentions": 0,
            "sha256": "a9ab9426c603dbbe9a89a357dc48c7459305b2ec259da185661e252ded537486",
        },
        "subject": _SUBJECT,
        "subject_sha256": "8d635fe4a2de0aa84dd376eeea2a37914f6ad4c9df2d0548554f859b5887292d",
        "noise": {
            "law": "rounded Gaussian on 0..255",
            "generator": "philox4x64-10",
            "key_sha256": "82972dbdb0aea437ce55e2fd16bb29a8bbfd98331ca1e3b9d8fa8efa7956f333",
        },
        "stop_reason": "target_reached",
    },
    "image": _IMAGE,
    "label_names": {"cat": "cat", "dog": "dog"},
    "truth": None,
    "request": {
        "target_radius": 0.25,
        "max_votes": 1000,
        "max_cost": None,
        "max_seconds": None,
        "good_enough": 0.9,
    },
    "accounting": _ACCOUNTING,
}

PREDICTION: dict[str, Any] = {
    "schema": "surety.prediction/1",
    "software": {"name": "surety", "version": "0.1.0"},
    "label": "cat",
    "label_name": "cat",
    "abstained": False,
    "alpha": 0.001,
    "sigma": 0.25,
    "p_value": 1.3e-27,
    "n": 100,
    "n_fixed": 100,
    "counts": {"cat": 98, "dog": 2},
    "abstentions": 0,
    "stop_reason": "complete",
    "image": _IMAGE,
    "subject": _SUBJECT,
    "accounting": _ACCOUNTING,
}

CERTIFY_FORM: dict[str, Any] = {
    "image": "(bytes of cat.png)",
    "provider": "local",
    "sigma": 0.25,
    "target_radius": 0.25,
    "max_votes": 1000,
}
PREDICT_FORM: dict[str, Any] = {"image": "(bytes of cat.png)", "provider": "local", "n": 100}

RUNS = {"runs": [{"id": RUN_ID, "kind": "certificate", "cancelling": False, "progress": PROGRESS}]}
CANCELLED = {"id": RUN_ID, "cancelling": True}
PROVIDERS = {
    "providers": [
        {
            "name": "local",
            "summary": "built-in CIFAR-10 classifier, 32×32, free, needs no account",
            "traits": {"payload": "pixels", "max_batch": 64, "unit": "image", "price": 0.0},
            "ready": True,
            "reason": None,
        }
    ],
    "default": "local",
}
DENOISERS = {
    "denoisers": [
        {
            "name": "cifar",
            "summary": "U-shaped network for 32×32 pictures, sigma 0.05 to 1",
            "weights_sha256": "6b0c8f1f6a5f8f3a0d6f2d1c4b3a291807f6e5d4c3b2a1908f7e6d5c4b3a2910",
            "compute": "cpu/float32",
            "ready": True,
            "reason": None,
        }
    ],
    "default": "cifar",
}
LIVE = {"status": "live"}
READY = {"status": "ready", "provider": "local", "denoiser": "cifar"}
VERSION = {
    "name": "surety",
    "version": "0.1.0",
    "certificate_schema": "surety.certificate/1",
    "python": "3.11.9",
}
PROBLEM_KIND = {
    "type": kinds.NOT_AN_IMAGE.type,
    "title": kinds.NOT_AN_IMAGE.title,
    "status": kinds.NOT_AN_IMAGE.status,
    "explanation": kinds.NOT_AN_IMAGE.explanation,
}
