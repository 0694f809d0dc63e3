"""How to reach a gRPC server on a unix socket: the address, and the options that both ends need."""

from pathlib import Path
from urllib.parse import quote

# A 3x1200x1200 float32 picture is 17 MB and clients of the original set 80 MB; gRPC's own limit of 4 MB would refuse both.
MAX_MESSAGE_BYTES = 256 * 1024 * 1024

# Large messages in few pieces, read and written in few calls: a tenth to a fifth of the time of 602 KB.
_LARGE_PIECES: tuple[tuple[str, int], ...] = (
    ("grpc.http2.max_frame_size", 16_777_215),  # the most that HTTP/2 allows
    ("grpc.experimental.tcp_read_chunk_size", 1024 * 1024),
    ("grpc.experimental.tcp_min_read_chunk_size", 256 * 1024),
    ("grpc.experimental.tcp_max_read_chunk_size", 4 * 1024 * 1024),
    ("grpc.http2.write_buffer_size", 8 * 1024 * 1024),
    ("grpc.http2.lookahead_bytes", 4 * 1024 * 1024),
    ("grpc.http2.bdp_probe", 0),  # measures a network's bandwidth; a unix socket has none to measure
)

SERVER_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_send_message_length", -1),
    # Bounded, because the agent holds a whole request in memory before it can look at it.
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # Another process must not take the socket over unseen.
    ("grpc.so_reuseport", 0),
    *_LARGE_PIECES,
)

CLIENT_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # A proxy named by the environment must not be asked for a local socket.
    ("grpc.enable_http_proxy", 0),
    # An agent is back within a second of its restart; the default back-off would leave the line blind for up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Not a pause but how long one attempt may take: an agent on a busy device needs a moment to greet.
    ("grpc.min_reconnect_backoff_ms", 2000),
    # Channels of one process share no connection, so one client's back-off does not hold up another.
    ("grpc.use_local_subchannel_pool", 1),
    *_LARGE_PIECES,
)


def address_of(socket_path: str | Path) -> str:
    """gRPC's address of an absolute unix socket path; characters that mean something in a URI are escaped."""
    return f"unix:{quote(str(Path(socket_path).absolute()))}"
