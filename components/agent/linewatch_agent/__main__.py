"""Put the agent together and run it."""

import argparse
import logging
import os
import sys
from functools import partial
from pathlib import Path

from linewatch_agent_api.edge_agent_pb2_grpc import add_EdgeAgentServicer_to_server
from linewatch_common.entry import carry_out, component_parser
from linewatch_common.errors import ConfigError
from linewatch_common.logs import set_up_logging
from linewatch_common.service import Context, ExitCode, Service

from linewatch_agent.active import ActiveFile
from linewatch_agent.backends.dlr.backend import DlrBackend
from linewatch_agent.backends.litert_backend import LiteRtBackend
from linewatch_agent.backends.onnxruntime_backend import OnnxRuntimeBackend
from linewatch_agent.backends.openvino_backend import OpenVinoBackend
from linewatch_agent.backends.port import Backend
from linewatch_agent.captures.lines import Origin
from linewatch_agent.capturing import build_captures
from linewatch_agent.component import NAME, AgentComponent
from linewatch_agent.config import AgentConfig, schedule_of, validate
from linewatch_agent.core import AgentCore
from linewatch_agent.counters import Counters
from linewatch_agent.dataplane import DataPlane
from linewatch_agent.desk import ModelDesk
from linewatch_agent.extras import admit_extras
from linewatch_agent.folders import Format
from linewatch_agent.keys import read_keys
from linewatch_agent.loading import ModelLoader
from linewatch_agent.lookout.models import LookoutModels
from linewatch_agent.lookout.servicer import LookoutServicer
from linewatch_agent.metrics import Metrics, MetricsServer
from linewatch_agent.original import read_original
from linewatch_agent.packages import PackageStore
from linewatch_agent.registry import ModelRegistry
from linewatch_agent.roles import Roles, RoleSettings
from linewatch_agent.roots import ModelRoots, greengrass_roots
from linewatch_agent.selfcheck import selfcheck
from linewatch_agent.server import AgentServer
from linewatch_agent.servicer import WireServicer, add_to_server
from linewatch_agent.sockets import Listener
from linewatch_agent.standalone import Standalone, socket_of
from linewatch_agent.trust import FloorFile, Trust

log = logging.getLogger(__name__)
MEGABYTE = 1_000_000


def build_core(
    config: AgentConfig, device: str, folder: Path, listeners: tuple[Listener, ...], roots: tuple[Path, ...] = ()
) -> AgentCore:
    """The agent without the bus; `folder` is where relative urls start and captured data lies by default.

    `roots` are the allowed ones when the configuration names none; without either, a model may lie anywhere.
    """
    counters = Counters()
    registry = ModelRegistry(
        ModelLoader(_backends(config), trust_of(config, folder)), config.memory_budget_mb * MEGABYTE
    )
    captures = build_captures(config, device, folder, counters)
    allowed = tuple(Path(root) for root in config.allowed_roots) or roots
    if not allowed:
        log.warning("AllowedRoots: none is set, so a client may load a model from any folder that this user can read")
    places = ModelRoots(folder, allowed)
    metrics = Metrics(counters, registry)
    plane = DataPlane(registry, captures, counters, metrics, places)
    edge = AgentServer(partial(add_to_server, WireServicer(plane)), listeners)
    lookout = _lookout_server(config, LookoutModels(registry, places, config.lookout_models))
    return AgentCore(
        registry, captures, counters, (edge, *lookout, MetricsServer(metrics, config.metrics_port)), metrics.activity
    )


def trust_of(config: AgentConfig, folder: Path) -> Trust:
    """Whose packages are run; `folder` keeps what must outlive a restart."""
    return Trust(read_keys(config.trusted_keys), config.require_signature, FloorFile(folder / "security-floors.json"))


def _lookout_server(config: AgentConfig, models: LookoutModels) -> tuple[AgentServer, ...]:
    if not config.lookout_socket:
        return ()
    add_service = partial(add_EdgeAgentServicer_to_server, LookoutServicer(models))
    return (AgentServer(add_service, (_open_listener(config, config.lookout_socket),)),)


def _backends(config: AgentConfig) -> dict[Format, Backend]:
    openvino = OpenVinoBackend(config.inference_threads)
    onnx: Backend = openvino
    if config.onnx_backend == "onnxruntime":
        onnx = OnnxRuntimeBackend(config.inference_threads)
    return {
        Format.ONNX: onnx,
        Format.IR: openvino,
        Format.SAVED_MODEL: openvino,
        Format.TFLITE: LiteRtBackend(config.inference_threads),
        Format.NEO: DlrBackend(config.inference_threads),
    }


def build_component(config: AgentConfig, context: Context) -> AgentComponent:
    """The agent on Greengrass."""
    _set_verbose(config)
    admit_extras(context.work)
    own = Listener(context.work / "agent.sock")
    listeners = (own, *_legacy_listener(config))
    core = build_core(config, context.thing, context.work, listeners, greengrass_roots(context.work))
    settings = RoleSettings(
        component=NAME,
        root=context.work / "models",
        latency_budget_ms=config.golden_latency_budget_ms,
        withdrawal_seconds=config.withdrawal_minutes * 60,
        schedule=schedule_of(config),
    )
    store = PackageStore(settings.root, config.memory_budget_mb * MEGABYTE, trust_of(config, context.work))
    file = ActiveFile(context.work / "active.json")
    # Inspector, and through it Camera, wait for a heartbeat that names the models.
    roles = Roles(core.registry, store, file, settings, core.counters, on_change=context.beat_soon)
    desk = ModelDesk(roles, context.bus, context.topics, core.counters)
    return AgentComponent(core, desk, roles, own.path, Origin(config.device_fleet_name, context.thing))


def _set_verbose(config: AgentConfig) -> None:
    """Our own lines only: what the AWS client says at this level holds its credentials."""
    if config.sagemaker_edge_log_verbose:
        logging.getLogger("linewatch_agent").setLevel(logging.DEBUG)


def _legacy_listener(config: AgentConfig) -> tuple[Listener, ...]:
    if not config.unix_socket_name:
        return ()
    return (_open_listener(config, config.unix_socket_name),)


def _open_listener(config: AgentConfig, path: str) -> Listener:
    """A socket for other users' programs."""
    return Listener(Path(path), int(config.unix_socket_mode, 8), config.unix_socket_group)


def run_standalone(address: str, config_file: Path) -> int:
    """As the original: a socket, a configuration file, no Greengrass."""
    set_up_logging(os.environ.get("LINEWATCH_LOG_LEVEL", "INFO"))
    try:
        original = read_original(config_file)
        _set_verbose(original.config)
        for warning in original.warnings:
            log.warning("%s", warning)
        listener = _open_listener(original.config, str(socket_of(address)))
        Standalone(build_core(original.config, original.device, Path.cwd(), (listener,))).run()
    except ConfigError as error:
        log.error("%s", error)  # noqa: TRY400 - the line says it all
        return ExitCode.BAD_CONFIGURATION
    return ExitCode.OK


def _parser() -> argparse.ArgumentParser:
    parser = component_parser("linewatch_agent", "linewatch's edge agent: serves models on a unix socket.")
    parser.add_argument("-a", metavar="SOCKET", help="without Greengrass: the unix socket to serve on")
    parser.add_argument("-c", metavar="CONFIG.json", type=Path, help="without Greengrass: the configuration file")
    return parser


def main(arguments: list[str]) -> int:
    """Run; returns the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if (given.a is None) != (given.c is None) or (given.a is not None and given.command):
        parser.error("-a SOCKET and -c CONFIG.json start the agent without Greengrass: give both, and no other word")
    if given.a is not None:
        return run_standalone(given.a, given.c)
    return carry_out(parser, given, Service(NAME, AgentConfig, build_component, validate), selfcheck)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
