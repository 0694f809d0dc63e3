"""Starting a lifecycle step: its script and environment from recipe and configuration, its token, its process."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from linewatch_common.files import make_private_folder

from localcore.configuration import ConfigurationStore
from localcore.identity import Identity, Tokens
from localcore.layout import Layout
from localcore.logs import ComponentLog
from localcore.process import ComponentProcess, Guard
from localcore.recipes import Recipe
from localcore.runtime import Runtime
from localcore.variables import Scope, substitute_script, substitute_value

# Nothing else of the caller's environment: what works here must not lean on a developer's shell.
_INHERITED = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER")


@dataclass(slots=True)
class Launched:
    """A started step, and the token that dies with it."""

    process: ComponentProcess
    token: str


class Launcher:
    """Knows where everything lies; starts steps of any component."""

    def __init__(
        self,
        *,
        layout: Layout,
        runtime: Runtime,
        thing_name: str,
        tokens: Tokens,
        configuration: ConfigurationStore,
        guard: Guard,
        placed_version: Callable[[str], str | None],
    ) -> None:
        self._layout = layout
        self._runtime = runtime
        self._thing_name = thing_name
        self._tokens = tokens
        self._configuration = configuration
        self._guard = guard
        self._placed_version = placed_version
        self._logs: dict[str, ComponentLog] = {}

    def log_of(self, component: str) -> ComponentLog:
        """The component's log, shared by its versions."""
        return self._logs.setdefault(component, ComponentLog(self._layout.log(component)))

    def substitute(self, component: str, text: str) -> str:
        """`text` with the component's variables: for resources of accessControl."""
        scope = self._scope(component, self._placed_version(component) or "")
        return substitute_value(text, scope, self._runtime, self._other) if "{" in text else text

    async def launch(self, recipe: Recipe, step_name: str) -> Launched:
        """Start the step. Raises UnavailableError when the system cannot."""
        step = recipe.steps[step_name]
        scope = self._scope(recipe.name, recipe.version)
        log = self.log_of(recipe.name)
        script = substitute_script(step.script, scope, self._runtime, self._other)
        for warning in script.warnings:
            log.write("core", f"WARNING {step_name}: {warning}")
        folder = make_private_folder(self._layout.work(recipe.name))
        token = self._tokens.issue(Identity(recipe.name))
        environment = self._environment(token, folder)
        for variables in (recipe.setenv, step.setenv):
            for name, value in variables.items():
                environment[name] = substitute_value(value, scope, self._runtime, self._other)
        try:
            process = await ComponentProcess.start(
                script.text, environment=environment, folder=folder, guard=self._guard, output=log
            )
        except BaseException:
            self._tokens.revoke(token)
            raise
        return Launched(process, token)

    async def finish(self, launched: Launched, stop_timeout_s: float) -> int:
        """Wait for the step's end and kill its token; its exit code."""
        try:
            return await launched.process.wait(stop_timeout_s)
        finally:
            self._tokens.revoke(launched.token)

    def _environment(self, token: str, folder: Path) -> dict[str, str]:
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        environment.update(
            AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT=str(self._layout.socket),
            SVCUID=token,
            AWS_IOT_THING_NAME=self._thing_name,
            GGC_VERSION=self._runtime.version,
            PWD=str(folder),
        )
        return environment

    def _scope(self, component: str, version: str) -> Scope:
        return Scope(
            artifacts=self._layout.artifacts(component, version),
            decompressed=self._layout.decompressed(component, version),
            work=self._layout.work(component),
            root=self._layout.root,
            thing_name=self._thing_name,
            configuration=self._configuration.tree(component),
        )

    def _other(self, component: str) -> Scope | None:
        version = self._placed_version(component)
        return None if version is None else self._scope(component, version)
