"""What `python -m warmup` does: orders to the warm-up Lambda, questions to the endpoints, one report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from discovery import Script

from ..errors import WarmupError
from ..models import Model, models_of_scripts
from ..worker.actions import read_token
from .ask import ask_endpoints
from .client import Lambdas
from .display import Display
from .drive import Order, drive
from .outputs import Deployment


@dataclass
class Report:
    """`document` is what --json prints and --report writes; `failures` names what went wrong, a line each."""

    document: dict[str, Any]
    failures: list[str] = field(default_factory=list)


class Command:
    """One run against one deployment."""

    def __init__(
        self, deployment: Deployment, scripts: Sequence[Script], *, only: str | None, parallel: int
    ) -> None:
        self.deployment, self.parallel = deployment, parallel
        every = models_of_scripts(scripts)
        self.models = [model for model in every if only in (None, model.model)]
        if not self.models and only is not None:
            known = ", ".join(sorted({model.model for model in every})) or "no model at all"
            raise WarmupError("usage", f"--model: no script uses {only!r}; they use {known}")
        self.every, self.only = every, only
        self.scripts = [script for script in scripts if self._concerns(script)]
        self._lambdas = Lambdas(deployment)

    def warm(self, display: Display) -> Report:
        """Stage where there is no egress, warm every model, ask every endpoint."""
        orders = self._orders("warm", display, staged=True)
        warm = [{**(order.result or {})} for order in orders if order.result]
        failures = [f"{order.key}: {order.error}" for order in orders if order.error]
        failed = {order.key for order in orders if order.error}
        endpoints = self._ask(warm, failed)
        failures += [f"{entry['name']}: {entry['error']}" for entry in endpoints if "error" in entry]
        document = {"stack": self.deployment.stack, "warmup": warm, "endpoints": endpoints}
        return Report({**document, "errors": failures} if failures else document, failures)

    def plan(self, display: Display) -> Report:
        return self._each("plan", display)

    def verify(self, display: Display) -> Report:
        report = self._each("verify", display)
        for entry in report.document["models"]:
            report.failures += [f"{bad['path']} {bad['fault']}" for bad in entry["faults"]]
        return report

    def status(self) -> Report:
        answer = self._lambdas.ask_warmup({"action": "status", "models": self._events(self.models)})
        return Report({"stack": self.deployment.stack, **answer})

    def prune(self, display: Display, dry_run: bool) -> Report:
        event = {"action": "prune", "models": self._events(self.every), "only": self.only, "dry_run": dry_run}
        order = Order("cache", event)
        drive(self._lambdas, [order], parallel=1, show=lambda order: display.show(order.key, order.progress))
        failures = [str(order.error)] if order.error else []
        return Report({"stack": self.deployment.stack, "prune": order.result}, failures)

    def _each(self, action: str, display: Display) -> Report:
        orders = self._orders(action, display)
        document = {
            "stack": self.deployment.stack,
            "models": [order.result for order in orders if order.result],
        }
        return Report(document, [f"{order.key}: {order.error}" for order in orders if order.error])

    def _orders(self, action: str, display: Display, *, staged: bool = False) -> list[Order]:
        orders = [Order(model.key, {"action": action, "models": model.to_event()}) for model in self.models]
        ready = orders
        if staged and self.deployment.staging_bucket:
            ready = self._staged(orders, self.deployment.staging_bucket, display)
        drive(
            self._lambdas,
            ready,
            parallel=self.parallel,
            show=lambda order: display.show(order.key, order.progress),
        )
        return orders

    def _staged(self, orders: list[Order], bucket: str, display: Display) -> list[Order]:
        """Upload every model; those that failed keep their error and are not ordered."""
        from huggingface_hub import get_token

        from ..worker.hub import HubSource
        from .stage import stage

        cache = Path(os.environ.get("WARMUP_STAGING_CACHE") or Path.home() / ".cache" / "hf-lambda")
        for model, order in zip(self.models, orders, strict=True):

            def note(text: str, order: Order = order) -> None:
                order.progress["note"] = text

            def sent(phase: str, done: int, total: int, order: Order = order) -> None:
                order.progress |= {"phase": f"stage: {phase}", "bytes_done": done, "bytes_total": total}
                display.show(order.key, order.progress)

            source = HubSource(os.environ.get("HF_ENDPOINT"), read_token(os.environ) or get_token(), note)
            try:
                stage(model, bucket, source, cache, sent)
            except WarmupError as error:
                order.error = error
        return [order for order in orders if order.error is None]

    def _ask(self, warm: list[dict[str, Any]], failed: set[str]) -> list[dict[str, Any]]:
        commits = {(entry["model"], entry["revision"]): entry["commit"] for entry in warm}
        cold = {script.name: self._failed_model(script, failed) for script in self.scripts}
        askable = [script for script in self.scripts if cold[script.name] is None]
        asked = ask_endpoints(
            self._lambdas,
            self.deployment,
            askable,
            lambda model, revision: commits.get((model, revision or "main")),
            parallel=self.parallel,
        )
        skipped = [
            {"name": name, "error": f"not asked: its model {key} is not warm"}
            for name, key in cold.items()
            if key
        ]
        return sorted([*asked, *skipped], key=lambda entry: str(entry["name"]))

    def _failed_model(self, script: Script, failed: set[str]) -> str | None:
        return next((model.key for model in models_of_scripts([script]) if model.key in failed), None)

    def _concerns(self, script: Script) -> bool:
        return self.only is None or any(pipeline.model == self.only for pipeline in script.pipelines)

    @staticmethod
    def _events(models: Sequence[Model]) -> list[dict[str, Any]]:
        return [entry for model in models for entry in model.to_event()]
