"""A whole build: the layers, the zips, the recipes."""

import filecmp
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from components.builder.archive import Content
from components.builder.assembly import Inputs, Order, build_zip, read_inputs
from components.builder.cache import Cache, place
from components.builder.configuration import with_site
from components.builder.errors import BuildError
from components.builder.models import check_package, manifest_version, package_of
from components.builder.progress import Progress
from components.builder.recipes import built_recipe, check_version, recipe_of
from components.builder.table import ARCHITECTURES, MEGABYTE, artefact_of
from components.builder.wheels import Layer, build_layer, cached_layer, find_uv

GDK_COMPONENT = "com.linewatch.EdgeAgent"  # the one component that gdk-config.json can name
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Request:
    """What to build, from where, to where.

    `versions` and `packages` stand for a recipe's version and a model's folder; `site` goes into the recipes' defaults.
    """

    root: Path
    out: Path
    cache: Path
    components: Sequence[str]
    architectures: Sequence[str]
    python: str
    versions: Mapping[str, str]
    packages: Mapping[str, Path]
    site: Mapping[str, Mapping[str, Any]]
    gdk: bool = False


def build(request: Request, progress: Progress) -> list[str]:
    """Build everything that can be built. Returns a line for each thing that cannot; raises BuildError when nothing can."""
    return _Build(request, progress).run()


class _Build:
    def __init__(self, request: Request, progress: Progress) -> None:
        self._request = request
        self._progress = progress
        self._cache = Cache(request.cache)
        self._failures: list[str] = []

    def run(self) -> list[str]:
        with self._cache.locked(lambda: self._progress.line("build: another build is running, waiting for it")):
            orders = self._each(self._request.components, self._orders)
            self._build_zips([order for _, some in orders for order in some])
        return self._failures

    def _orders(self, component: str) -> list[Order]:
        """The component's recipe, written, and its zips to build. Raises BuildError."""
        request, artefact = self._request, artefact_of(component)
        recipe = recipe_of(request.root, artefact)
        recipe = with_site(recipe, request.site.get(component, {}))
        package = package_of(request.root, artefact, request.packages.get(component))
        version = request.versions.get(component, recipe["ComponentVersion"])
        if component in request.packages and package is not None and component not in request.versions:
            version = manifest_version(package)
        check_version(version, component)
        if package is not None:
            check_package(package, artefact, version)
        self._write_recipe(component, version, built_recipe(recipe, version, request.python))
        return [
            Order(artefact, version, ARCHITECTURES[name], request.python, package) for name in request.architectures
        ]

    def _write_recipe(self, component: str, version: str, data: bytes) -> None:
        names = [f"{component}-{version}.json"]
        if self._request.gdk and component == GDK_COMPONENT:
            names += [f"{component}.json", "recipe.json"]
        folder = self._request.out / "recipes"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in names:
                beside = folder / f".{name}"
                beside.write_bytes(data)
                beside.replace(folder / name)
        except OSError as error:
            raise BuildError(f"{folder}: cannot write: {error.strerror}") from error

    def _build_zips(self, orders: list[Order]) -> None:
        read = self._each(orders, lambda order: read_inputs(order, self._request.root))
        layers = self._layers([order for order, inputs in read if self._cached(order, inputs) is None])
        self._each(read, lambda pair: self._deliver(*pair, layers))
        self._each(orders, self._remove_outdated)

    def _cached(self, order: Order, inputs: Inputs) -> Path | None:
        return self._cache.get("zips", order.slot, inputs.key, ".zip")

    def _layers(self, orders: list[Order]) -> dict[str, tuple[Path, Content]]:
        """Each layer that the orders need, by its slot; as many at a time as there are cores, since each is compressed."""
        wanted = {layer.slot: layer for layer in (order.layer(self._request.root) for order in orders)}
        with ThreadPoolExecutor(max_workers=min(os.cpu_count() or 1, 4)) as pool:
            return {layer.slot: done for layer, done in self._each(list(wanted.values()), self._layer, pool)}

    def _layer(self, layer: Layer) -> tuple[Path, Content]:
        key = layer.key()
        cached = cached_layer(layer, self._cache, key)
        if cached is not None:
            return cached
        job = self._progress.job(f"{layer.lock.stem} wheels, {layer.platform.partition('-')[0]}")
        built = build_layer(layer, self._cache, key, find_uv(self._request.root), job)
        job.done(f"{built[1].size / MEGABYTE:.0f} MB")
        return built

    def _deliver(self, order: Order, inputs: Inputs, layers: Mapping[str, tuple[Path, Content]]) -> None:
        job = self._progress.job(order.name)
        path, state = self._cached(order, inputs), "as before"
        if path is None:
            layer = layers.get(order.layer(self._request.root).slot)
            if layer is None:
                return  # its failure is noted already
            path, state = build_zip(order, inputs, self._cache, layer), "built"
        place(path, self._target(order))
        job.done(f"{path.stat().st_size / MEGABYTE:.1f} MB, {state}")

    def _target(self, order: Order) -> Path:
        return self._request.out / "artifacts" / order.artefact.component / order.version / order.name

    def _remove_outdated(self, order: Order) -> None:
        """An earlier build's zip for another architecture must not be deployed with this build's recipe unless it is the same code."""
        for architecture in ARCHITECTURES.values():
            other = replace(order, architecture=architecture)
            target = self._target(other)
            if architecture.name in self._request.architectures or not target.exists():
                continue
            current = self._cached(other, read_inputs(other, self._request.root))
            if current is None or not filecmp.cmp(current, target):
                target.unlink()
                self._progress.line(f"build: {other.name}: older than its sources, removed")

    def _each(
        self, items: Sequence[T], work: Callable[[T], R], pool: ThreadPoolExecutor | None = None
    ) -> list[tuple[T, R]]:
        """Do `work` for each item; one that fails is noted and left out, the others go on."""
        calls = [pool.submit(work, item).result if pool else partial(work, item) for item in items]
        results = []
        for item, call in zip(items, calls, strict=True):
            try:
                results.append((item, call()))
            except BuildError as error:
                if str(error) not in self._failures:
                    self._failures.append(str(error))
        return results
