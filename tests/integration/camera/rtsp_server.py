"""An RTSP server with a moving test picture, for /usr/bin/python3 with GStreamer: `rtsp_server.py PORT [protected]`.

Prints `ready` and serves /live; protected, it asks for user `u` and password `p`.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 - after the versions are chosen

# jpegenc needs I420, or the mount dies and takes other clients with it.
LAUNCH = (
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=320,height=240,framerate=25/1 "
    "! jpegenc ! rtpjpegpay name=pay0 pt=26 )"
)


def main(port: str, protected: bool) -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(LAUNCH)
    factory.set_shared(True)
    if protected:
        protect(server, factory)
    server.get_mount_points().add_factory("/live", factory)
    server.attach(None)
    print("ready", flush=True)
    GLib.MainLoop().run()


def protect(server: "GstRtspServer.RTSPServer", factory: "GstRtspServer.RTSPMediaFactory") -> None:
    auth = GstRtspServer.RTSPAuth()
    user = GstRtspServer.RTSPToken()
    user.set_string("media.factory.role", "user")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic("u", "p"), user)
    server.set_auth(auth)
    made = Gst.Structure.new_from_string("user,media.factory.access=true,media.factory.construct=true")
    # Some bindings give the structure and how far they read.
    factory.add_role_from_structure(made[0] if isinstance(made, tuple) else made)


if __name__ == "__main__":
    main(sys.argv[1], "protected" in sys.argv)
